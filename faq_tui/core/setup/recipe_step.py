"""Step 4: how the model is quantized, with the estimates of doctor and the space on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from faq_tui.core.base.errors import FaqError
from faq_tui.core.doctor import memory_checks, recipe_checks
from faq_tui.core.run.run import Run
from faq_tui.core.settings import build_recipe
from faq_tui.core.setup.draft import Draft, draft_run
from faq_tui.core.setup.step_report import Line, StepReport, sentence
from faq_tui.core.setup.target_step import TargetReport

FULL_BITS = 16  # bits of an unquantized weight
SPARE = 1.15  # factor on the disk space of the weights: room for scales, 16-bit embeddings, logs and calibration sets
DOCTOR_ROLES = {"ok": "", "warning": "warning", "failed": "bad"}


@dataclass(frozen=True)
class RecipeReport(StepReport):
    """`needed` is the number of bytes that downloads and artefacts take on the disk.

    `needed` is None if the model's size is not known.
    """

    needed: int | None = None
    free: int = 0
    artefacts: int = 0


def look_at_recipe(draft: Draft, target: TargetReport, folder: Path) -> RecipeReport:
    """Estimate time, memory and disk space of the recipe. The run will be in `folder`, which need not exist."""
    try:
        size = {} if draft.group_size is None else {"group_size": draft.group_size}
        build_recipe({"method": draft.method, "bits": draft.bits, **size})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return RecipeReport(problem=f"{first['loc'][-1]}: {str(first['msg']).removeprefix('Value error, ')}")
    try:
        with draft_run(draft) as run:
            lines = list(_estimates(run))
            artefacts = sum(len(run.settings.sets_of(recipe)) for recipe in run.settings.recipes)
    except FaqError as error:
        return RecipeReport(problem=str(error))
    needed, free = _needed(target, draft.bits, artefacts), _free(folder)
    return RecipeReport(
        (*lines, *_disk_lines(needed, free, artefacts)), needed=needed, free=free, artefacts=artefacts
    )


def _estimates(run: Run) -> Iterator[Line]:
    """The findings of doctor about time and memory."""
    for check in (*recipe_checks(run), *memory_checks(run)):
        yield Line(sentence(check.found), DOCTOR_ROLES[check.state])  # type: ignore[arg-type]
        if check.advice:
            yield Line(sentence(check.advice), "warning")


def _needed(target: TargetReport, bits: int, artefacts: int) -> int | None:
    if target.weights is None:
        return None
    return target.missing + round(artefacts * target.weights * bits / FULL_BITS * SPARE)


def _free(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def _disk_lines(needed: int | None, free: int, artefacts: int) -> Iterator[Line]:
    models = f"{artefacts} quantized model{'' if artefacts == 1 else 's'}, one for each calibration set"
    if needed is None:
        yield Line(f"Disk: {models}; {free / 1e9:,.0f} GB are free. The size of the model is not known yet.")
    elif needed > free:
        text = f"Disk: {models}, need about {needed / 1e9:,.1f} GB, but only {free / 1e9:,.1f} GB are free."
        yield Line(text, "bad")
    else:
        yield Line(f"Disk: {models}, need about {needed / 1e9:,.1f} GB; {free / 1e9:,.0f} GB are free.", "good")
