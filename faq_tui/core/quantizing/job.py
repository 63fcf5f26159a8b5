"""The job description of one quantization, which the run's process sends to the worker child."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings.recipe import Recipe, recipe_of_worker

REQUIRED = ("artefact", "model", "recipe", "rows", "out")


@dataclass(frozen=True)
class QuantizationJob:
    artefact: str  # name of the artefact, used only in messages
    model: str  # local folder or hub id of the unquantized target
    recipe: Recipe
    rows: Path  # the calibration set as JSONL; each line has `input_ids`
    out: Path  # a new folder for the artefact; it is complete when it contains faq_manifest.json
    device: str = "auto"  # cpu | cuda | auto
    backend: str = "auto"
    trust_remote_code: bool = False
    checkpoints: Path | None = None  # folder for the artefact's checkpoints; None if there are none
    checkpoint_s: float = (
        600.0  # seconds that must pass between two checkpoints; a job that takes less time makes no checkpoint
    )
    kinds: Path | None = (
        None  # the recorded kinds of the tokens in `rows`; only a recipe with `token_weights` needs them
    )
    ids_hash: str = ""  # hash of the token ids in `rows`, for which the kinds were recorded
    devices: int = (
        1  # number of GPUs over which the walk divides the rows; on a CPU, the number of threads that do so
    )
    threads: int | None = None  # number of processor threads that torch may use; None if there is no limit
    sharing: int = 1  # number of jobs that use the same GPU at the same time

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> QuantizationJob:
        """Read a job from `spec`.

        The keys of `spec` are the fields of this class. The value of `recipe` has the form of `Recipe.identity`.

        Raises UsageError if a field is missing, or if the method refuses a value. The error message names the field.
        Paths become absolute, because gptqmodel changes the working directory.
        """
        given = {name: spec[name] for name in cls.__dataclass_fields__ if spec.get(name) is not None}
        missing = [name for name in REQUIRED if name not in given]
        if missing:
            raise UsageError(f"the quantize task lacks {', '.join(missing)} in its spec")
        fields: dict[str, Any] = {**given, "recipe": recipe_of_worker(given["recipe"])}
        for name in ("rows", "out", "checkpoints", "kinds"):
            if name in fields:
                fields[name] = Path(fields[name]).resolve()
        if Path(given["model"]).is_dir():
            fields["model"] = str(Path(given["model"]).resolve())
        return cls(**fields)
