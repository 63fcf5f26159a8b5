"""W8A8 through the whole model, written in the compressed-tensors format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.cancel import CancelToken
from faq_tui.core.models.headers import linear_shapes
from faq_tui.core.quantizing.hessian import Factor
from faq_tui.core.quantizing.job import Job
from faq_tui.core.quantizing.layers.engine import quantize_layers
from faq_tui.core.quantizing.layers.together import Solved
from faq_tui.core.quantizing.outcome import Outcome
from faq_tui.core.quantizing.progress import Progress
from faq_tui.core.quantizing.w8a8.config import quantization_config
from faq_tui.core.quantizing.w8a8.matrix import quantize_stack

SCALE_BITS = 16
ACTIVATIONS = "INT8, symmetric, one scale a token, found when it comes; calibration saw them unrounded"


def quantize(job: Job, folder: str, rows: list[list[int]], progress: Progress, cancel: CancelToken) -> Outcome:
    """Write the model into `job.out`: an Engine of the registry."""
    shapes: dict[str, tuple[int, int]] = {}

    def solve(
        names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
    ) -> dict[str, Solved]:
        found = {}
        for place, made in enumerate(quantize_stack(weights, factor, check)):
            dense = (made.codes.float() * made.scale.float()).to(weights[place].dtype)
            losses = made.loss.tolist()
            for index, sharing in enumerate(names):
                name = sharing[place]
                shapes[name] = tuple(dense.shape[1:])
                tensors = {f"{name}.weight": made.codes[index].cpu(), f"{name}.weight_scale": made.scale[index].cpu()}
                found[name] = Solved(dense[index], losses[index], tensors)
        return found

    def place(layer: int, solved: dict[str, Solved]) -> dict[str, Any]:
        del layer
        return {key: tensor for module in solved.values() for key, tensor in module.tensors.items()}

    quantize_layers(job, folder, rows, progress, cancel, solve, place, by_activation=True)
    path = job.out / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    # Servers give routers a linear layer too, and would quantize it.
    ignored = [*sorted(set(linear_shapes(Path(folder))) - set(shapes)), "lm_head"]
    config["quantization_config"] = quantization_config(ignored)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    weights = sum(out * columns for out, columns in shapes.values())
    scales = sum(out * SCALE_BITS for out, _ in shapes.values())
    return Outcome(job.bits + scales / weights, {"activations": ACTIVATIONS})
