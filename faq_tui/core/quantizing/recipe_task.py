"""The worker's task `check_recipes`: find the recipes that cannot quantize the target.

A child process runs the task, because the task builds the target (without weights) and needs torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.model_code import without_code
from faq_tui.core.settings.recipe import recipe_of_worker


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Send one message `checked` with `refusals`, a list of texts.

    For each recipe, the list has the reason why the recipe cannot quantize the target, or "" if it can. The keys of
    `spec` are path, trust_remote_code and recipes.
    """
    trusted, refusals = bool(spec["trust_remote_code"]), []
    with without_code(Path(spec["path"]), trusted) as folder:
        for body in spec["recipes"]:
            cancel.check()
            recipe = recipe_of_worker(body)
            refusals.append(METHODS.get(recipe.method).refusal(recipe, folder, trusted))
    send("checked", refusals=refusals)
