"""Can the run's target be quantized by its recipes? Asked before anything is paid for."""

from __future__ import annotations

from faq_tui.core.models.headers import linear_shapes
from faq_tui.core.quantizing.check import check_chat_template, check_group_size, check_target
from faq_tui.core.quantizing.keys import METHODS
from faq_tui.core.run import Run
from faq_tui.core.settings import EMBEDDED


def refuse_unfit(run: Run, recipes: bool = True) -> None:
    """Raise UsageError if the target is no causal model, has no chat template, or a group size misfits.

    Without `recipes` group sizes are not asked about: a set can serve another quantizer. A hub id is looked
    at when it is fetched: nothing is downloaded here.
    """
    folder = run.resolve(run.settings.target.model)
    if run.settings.target.model == EMBEDDED or not (folder / "config.json").is_file():
        return
    check_target(folder)
    check_chat_template(folder)
    shapes = linear_shapes(folder) if recipes else {}
    for recipe in run.settings.recipes:
        check_group_size(shapes, recipe.group_size, METHODS[recipe.method].group_sizes)
