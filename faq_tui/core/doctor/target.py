"""Can the run's target be quantized by its recipes, as far as its configuration tells?"""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.doctor.check import Check
from faq_tui.core.errors import FaqError
from faq_tui.core.run import Run
from faq_tui.core.settings.schema import EMBEDDED


def target_checks(run: Run) -> list[Check]:
    name = run.settings.target.model
    folder = run.resolve(name)
    if name == EMBEDDED:
        return [Check("target", "ok", "embedded")]
    if not folder.is_dir():
        return [Check("target", "ok", f"{name}: a hub id, checked when it is fetched")]
    try:
        _refuse_unfit(run, folder)
    except FaqError as error:
        return [Check("target", "failed", str(folder), str(error))]
    return [Check("target", "ok", str(folder))]


def _refuse_unfit(run: Run, folder: Path) -> None:
    from faq_tui.core.models.headers import linear_shapes
    from faq_tui.core.quantizing.check import check_chat_template, check_group_size, check_target

    check_target(folder)
    check_chat_template(folder)
    for recipe in run.settings.recipes:
        check_group_size(linear_shapes(folder), recipe.group_size)
