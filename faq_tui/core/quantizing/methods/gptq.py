"""GPTQ (Frantar et al. 2022, arXiv:2210.17323), run by the library GPTQModel, and its storage format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from faq_tui.core.models.dense import Config, FolderTensors, Kernels, WeightFormat, incomplete, lacking
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.methods.gptqmodel.method import Experts, GptqmodelMethod, GptqmodelRecipe, common_options
from faq_tui.core.settings.recipe import PAPER, Damping, GroupSize, Presets

Sym = Annotated[bool, Field(description="true uses a symmetric grid, whose zero point is fixed")]


class GptqRecipe(GptqmodelRecipe):
    presets: ClassVar[Presets] = {"paper": PAPER}

    method: Literal["gptq"] = "gptq"
    bits: Literal[4, 8] = 4
    group_size: GroupSize = 128
    sym: Sym = True
    desc_act: Annotated[bool, Field(description="true quantizes columns in the order of falling activations")] = False
    damp_percent: Damping = 0.05
    experts: Experts = "routed"


class GptqFormat(WeightFormat):
    """Packed codes with scales and zero points by group, for GPTQConfig and GPTQMarlinConfig of vLLM and SGLang."""

    quant_method = "gptq"
    kernels: ClassVar[Kernels] = {
        "bits": (4, 8),
        "group_size": (-1, 32, 64, 128),
        "sym": (True,),
        "desc_act": (False,),
    }

    def dense_state(self, folder: Path, quantization: Config, dtype: Any) -> dict[str, Any]:
        """Compute w = scales[g_idx] * (q - zeros[g_idx]), after gptqmodel's own function has unpacked the codes.

        gptqmodel's `convert_gptq_file` does the same, but fails if the tensors of a module lie in two files.
        """
        import torch

        from faq_tui.core.models.gptqmodel_environment import import_gptqmodel

        import_gptqmodel()
        from gptqmodel.utils.model_dequant import (
            _correct_gptq_v1_qzeros,
            _uses_gptq_v1_qzeros,
            unpack_cols,
            unpack_rows,
        )

        bits, tensors = quantization["bits"], FolderTensors(folder)
        state: dict[str, Any] = {}
        for name in tensors.files:
            module, _, part = name.rpartition(".")
            if part == "qweight":
                qzeros = tensors.read(f"{module}.qzeros")
                if _uses_gptq_v1_qzeros(quantization):
                    qzeros = _correct_gptq_v1_qzeros(qzeros, bits)
                groups = tensors.read(f"{module}.g_idx").long()
                codes = unpack_rows(tensors.read(name), bits).to(torch.float32)
                zeros = unpack_cols(qzeros, bits).to(torch.float32)[groups]
                scales = tensors.read(f"{module}.scales").to(torch.float32)[groups]
                state[f"{module}.weight"] = ((codes - zeros) * scales).to(dtype).t().contiguous()
            elif part not in ("qzeros", "scales", "g_idx"):
                state[name] = tensors.read_as(name, dtype)
        return state

    def problems(self, quantization: Config, tensors: set[str]) -> list[str]:
        sentences = lacking(quantization, ("bits", "group_size", "desc_act", "sym"))
        if quantization.get("checkpoint_format", "gptq") not in ("gptq", "gptq_v2"):
            sentences.append(f"quantization_config has checkpoint_format {quantization['checkpoint_format']!r}")
        return sentences + incomplete(tensors, ("qweight", "qzeros", "scales", "g_idx"))


GPTQ_FORMAT = GptqFormat()


def gptq_config(gptqmodel: Any, recipe: Any, scratch: Path, **more: Any) -> Any:
    """Make gptqmodel's GPTQConfig for a recipe of GPTQ or GPTAQ."""
    return gptqmodel.GPTQConfig(
        bits=recipe.bits,
        group_size=recipe.group_size,
        sym=recipe.sym,
        desc_act=recipe.desc_act,
        # This option reorders whole groups, so it needs more than one group. It does not slow down inference.
        act_group_aware=not recipe.desc_act and recipe.group_size != -1,
        damp_percent=recipe.damp_percent,
        **common_options(gptqmodel, recipe, scratch),
        **more,
    )


class Gptq(GptqmodelMethod):
    name = "gptq"
    title = "GPTQ"
    help = "Rounds weights column by column, and corrects later columns by the Hessian of the layer's inputs."
    recipe = GptqRecipe
    format = GPTQ_FORMAT
    cuda_backend = "gptq_torch"
    checkpoints = True
    cost = MethodCost(
        seconds={"module": 0.09047, "column": 4.149e-5, "hessian": 3.058e-14, "weight": 1.78e-8},
        gpu_bytes={"context": 1.7e9, "states": 2.08, "layer": 1.72, "expert_squares": 0.61},
        host_bytes={"context": 2.3e9, "states": 0.99, "resident": 1.98, "expert_squares": 0.67},
        passes=5.0,
    )

    def config(self, gptqmodel: Any, recipe: Any, scratch: Path) -> Any:
        return gptq_config(gptqmodel, recipe, scratch)


METHOD = Gptq()
