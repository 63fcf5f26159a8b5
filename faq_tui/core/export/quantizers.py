"""Export formats for quantizers of other projects: llm-compressor, auto-round, GPTQModel, and llama.cpp's imatrix.

Three of them read Python objects, not files. Their formats are folders: the rows as token ids, settings, and a script
that hands both to the quantizer. A script reads everything that depends on the run from the files beside it, so it is
the same for all runs, and no text of a run becomes code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from faq_tui.core.base.errors import FaqError
from faq_tui.core.export.formats import CalibrationSet, ExportFormat, ExportJob, FolderFormat

if TYPE_CHECKING:
    from faq_tui.core.settings import Recipe

ROWS, SETTINGS, SCRIPT = "calibration.jsonl", "settings.json", "quantize.py"
LAYER_HEAD = "lm_head"  # the output layer stays unquantized, as in faq-tui


class QuantizerFormat(FolderFormat):
    """A folder with rows, settings and a script. `script` is the name of a text in `scripts/`."""

    script: str

    def settings(self, calibration: CalibrationSet, job: ExportJob, recipe: Recipe) -> dict[str, Any]:
        """What the script reads from settings.json, apart from the model."""
        raise NotImplementedError

    def further(self, recipe: Recipe) -> Mapping[str, str]:
        """Further files of the folder."""
        del recipe
        return {}

    def write_folder(self, calibration: CalibrationSet, job: ExportJob, folder: Path) -> None:
        assert job.recipe is not None
        with (folder / ROWS).open("w", encoding="utf-8") as file:
            for row in calibration.rows():
                file.write(json.dumps({"input_ids": row}) + "\n")
        if not (folder / ROWS).stat().st_size:
            raise FaqError(f"the set {calibration.name} has no samples: nothing can be calibrated on it")
        body = {"model": job.target, **self.settings(calibration, job, job.recipe)}
        (folder / SETTINGS).write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
        text = files("faq_tui.core.export").joinpath("scripts", f"{self.script}.txt").read_text(encoding="utf-8")
        (folder / SCRIPT).write_text(text, encoding="utf-8")
        for name, content in self.further(job.recipe).items():
            (folder / name).write_text(content, encoding="utf-8")


class LlmCompressorExport(QuantizerFormat):
    name, title, suffix = "llm-compressor", "llm-compressor", ""
    help = "A folder for llm-compressor: token ids, recipe.yaml, and a script that quantizes with both."
    script = "llm_compressor"
    methods: ClassVar[tuple[str, ...]] = ("gptq", "awq", "w8a8")

    def settings(self, calibration: CalibrationSet, job: ExportJob, recipe: Recipe) -> dict[str, Any]:
        del calibration, job, recipe
        return {}

    def further(self, recipe: Recipe) -> Mapping[str, str]:
        import yaml

        return {"recipe.yaml": yaml.safe_dump(llm_compressor_recipe(recipe), sort_keys=False)}


def llm_compressor_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe in the form of llm-compressor."""
    group: dict[str, Any] = {"targets": ["Linear"], "weights": _weights(recipe)}
    if recipe.method == "w8a8":
        group["input_activations"] = {
            "num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True,
        }  # fmt: skip
    scheme = {"ignore": [LAYER_HEAD], "config_groups": {"group_0": group}}
    if recipe.method == "awq":  # AWQ only scales the weights; the second modifier rounds them
        modifiers: dict[str, Any] = {"AWQModifier": {}, "QuantizationModifier": scheme}
    else:
        order = "static" if getattr(recipe, "desc_act", False) else None
        damping = getattr(recipe, "damp_percent", 0.01)
        modifiers = {"GPTQModifier": {**scheme, "dampening_frac": damping, "actorder": order}}
    return {"quant_stage": {"quant_modifiers": modifiers}}


def _weights(recipe: Recipe) -> dict[str, Any]:
    weights = {"num_bits": recipe.bits, "type": "int", "symmetric": getattr(recipe, "sym", True)}
    if recipe.group_size == -1:
        return {**weights, "strategy": "channel"}
    return {**weights, "strategy": "group", "group_size": recipe.group_size}


class AutoRoundExport(QuantizerFormat):
    name, title, suffix = "auto-round", "auto-round", ""
    help = "A folder for auto-round: token ids, settings, and a script. auto-round uses its own method."
    script = "auto_round"
    methods: ClassVar[tuple[str, ...]] = ("gptq", "gptaq", "awq")

    def settings(self, calibration: CalibrationSet, job: ExportJob, recipe: Recipe) -> dict[str, Any]:
        """The length of a row is the length of the longest sample, so that at least one row is full."""
        del job
        return {
            "scheme": f"W{recipe.bits}A16",
            "group_size": recipe.group_size,
            "sym": getattr(recipe, "sym", True),
            "seqlen": max(map(len, calibration.rows())),
        }


class GptqModelExport(QuantizerFormat):
    name, title, suffix = "gptqmodel", "GPTQModel", ""
    help = "A folder for GPTQModel: token ids, settings, and a script that quantizes with GPTQ, GPTAQ or AWQ."
    script = "gptqmodel"
    methods: ClassVar[tuple[str, ...]] = ("gptq", "gptaq", "awq")

    def settings(self, calibration: CalibrationSet, job: ExportJob, recipe: Recipe) -> dict[str, Any]:
        del calibration, job
        from faq_tui.core.quantizing.methods.gptq.matrix import NORM

        config: dict[str, Any] = {"bits": recipe.bits, "group_size": recipe.group_size}
        config["sym"] = getattr(recipe, "sym", True)
        if recipe.method == "awq":
            return {"method": recipe.method, "config": config}
        ordered = bool(getattr(recipe, "desc_act", False))
        config["desc_act"] = ordered
        # this option orders whole groups, so it needs more than one group
        config["act_group_aware"] = not ordered and recipe.group_size != -1
        config["damp_percent"] = getattr(recipe, "damp_percent", 0.01)
        config["mse"] = NORM if getattr(recipe, "scale_search", False) else 0.0
        alpha = {"gptaq": {"alpha": getattr(recipe, "alpha", 0.25), "device": "auto"}}
        return {"method": recipe.method, "config": config, **(alpha if recipe.method == "gptaq" else {})}


class ImatrixExport(ExportFormat):
    name, title, suffix = "imatrix", "llama.cpp imatrix", ".raw"
    help = "Plain text in the target's chat template, for `llama-imatrix --parse-special -f FILE`."

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        """Write the texts one below the other. llama-imatrix reads the file as one text and cuts it into chunks."""
        calibration.check()
        for sample in calibration.samples():
            out.write(sample["text"].encode("utf-8", errors="replace") + b"\n")


LLM_COMPRESSOR, AUTO_ROUND, GPTQMODEL, IMATRIX = (
    LlmCompressorExport(),
    AutoRoundExport(),
    GptqModelExport(),
    ImatrixExport(),
)
