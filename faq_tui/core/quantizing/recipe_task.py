"""The worker's task `check_recipes`: find what the stages would refuse because of the target's architecture.

A child process runs the task, because the task builds the target (without weights) and needs torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.model_call import refusal_of_logits
from faq_tui.core.models.model_code import without_code
from faq_tui.core.models.streamed import refusal_of_layers
from faq_tui.core.models.text_model import empty_model
from faq_tui.core.settings.recipe import recipe_of_worker


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Send one message `checked` with `model`, a text, and `refusals`, a list of texts.

    `model` is the reason why the stages cannot use the target, or "" if they can. For each recipe, `refusals` has the
    reason why the recipe cannot quantize the target, or "" if it can. The keys of `spec` are path, trust_remote_code,
    recipes, logits and by_layers. If `logits` is true, a stage needs the target's logits. If `by_layers` is true, the
    target must be read layer by layer.
    """
    import torch

    trusted, refusals = bool(spec["trust_remote_code"]), []
    with without_code(Path(spec["path"]), trusted) as folder:
        model = refusal_of_layers(folder, trusted) if spec["by_layers"] else ""
        if spec["logits"] and not model:
            model = refusal_of_logits(empty_model(folder, trusted, torch.float32))
        for body in spec["recipes"]:
            cancel.check()
            recipe = recipe_of_worker(body)
            refusals.append(METHODS.get(recipe.method).refusal(recipe, folder, trusted))
    send("checked", model=model, refusals=refusals)
