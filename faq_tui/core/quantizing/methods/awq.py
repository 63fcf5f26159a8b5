"""The method AWQ (Lin et al. 2023, arXiv:2306.00978) and its storage format. The library GPTQModel runs AWQ."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from faq_tui.core.models.dense import Config, DecodedFormat, FolderTensors, Kernels, incomplete, lacking
from faq_tui.core.models.dense_tensors import DecodedTensors, DenseTensors
from faq_tui.core.quantizing.cost_model import MethodCost
from faq_tui.core.quantizing.methods.gptq.format import scaled, unpack
from faq_tui.core.quantizing.methods.gptqmodel.method import Experts, GptqmodelMethod, GptqmodelRecipe, common_options
from faq_tui.core.settings.recipe import PAPER, Presets

WORD_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # order of the eight columns within one 32-bit word


class AwqRecipe(GptqmodelRecipe):
    presets: ClassVar[Presets] = {"paper": PAPER}

    method: Literal["awq"] = "awq"
    bits: Literal[4] = 4
    group_size: Literal[16, 32, 64, 128, 256, 512, 1024] = 128
    sym: Annotated[bool, Field(description="if true, the grid is symmetric, and its zero point is fixed")] = False
    experts: Experts = "routed"


class AwqFormat(DecodedFormat):
    """AWQ's layout "gemm" with 4 bits. vLLM reads this layout with the classes AWQConfig and AWQMarlinConfig."""

    quant_method = "awq"
    kernels: ClassVar[Kernels] = {
        "bits": (4,),
        "group_size": (-1, 32, 64, 128),
        "zero_point": (True,),
    }

    def tensors(self, folder: Path, quantization: Config, dtype: Any) -> DenseTensors:
        """Compute w = scale * (q - zero).

        In each 32-bit word, the columns are in the order that AWQ's first CUDA kernel needs. This function restores
        the original order of the columns. The function `convert_awq_file` of gptqmodel keeps the kernel's order, so
        its dense weights have their columns in the wrong order.
        """
        import torch

        del dtype
        stored = FolderTensors(folder)

        def unpacked(name: str) -> Any:
            codes = unpack(stored.read(name), 4)
            return codes.unflatten(-1, (-1, len(WORD_ORDER)))[..., list(WORD_ORDER)].flatten(-2)

        def decode(module: str) -> Any:
            codes = unpacked(f"{module}.qweight")  # [in_features, out_features]
            group = len(codes) if quantization["group_size"] == -1 else quantization["group_size"]
            groups = torch.arange(len(codes)) // group
            zeros, scales = unpacked(f"{module}.qzeros"), stored.read(f"{module}.scales")
            return scaled(codes.t().contiguous(), scales, zeros, groups)

        modules = [name.removesuffix(".qweight") for name in stored.files if name.endswith(".qweight")]
        plain = [name for name in stored.files if name.rpartition(".")[2] not in ("qweight", "qzeros", "scales")]
        return DecodedTensors(stored, plain, {f"{module}.weight": partial(decode, module) for module in modules})

    def problems(self, quantization: Config, tensors: set[str]) -> list[str]:
        sentences = lacking(quantization, ("bits", "group_size", "zero_point"))
        if str(quantization.get("version", "gemm")).lower() != "gemm":
            sentences.append(f"quantization_config has version {quantization['version']!r}, not gemm")
        return sentences + incomplete(tensors, ("qweight", "qzeros", "scales"))


class Awq(GptqmodelMethod):
    name = "awq"
    title = "AWQ"
    help = "Scales up channels with large activations before rounding, and chooses the best of twenty scales."
    recipe = AwqRecipe
    format = AwqFormat()
    cuda_backend = "awq_torch"
    cost = MethodCost(
        seconds={"module": 0.08641, "input": 4.438e-9},
        gpu_bytes={"context": 1.64e9, "inputs": 1.93},
        host_bytes={"context": 2.44e9, "inputs": 1.67},
        passes=25.0,  # AWQ makes one forward pass per candidate scale
        solves=False,
    )

    def config(self, gptqmodel: Any, recipe: Any, scratch: Path) -> Any:
        config = gptqmodel.quantization.config.AWQConfig
        options = common_options(gptqmodel, recipe, scratch)
        return config(bits=recipe.bits, group_size=recipe.group_size, sym=recipe.sym, **options)


METHOD = Awq()
