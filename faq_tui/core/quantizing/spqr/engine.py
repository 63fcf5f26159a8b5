"""SpQR through the whole model: dense weights that every engine loads, and the codes beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from faq_tui.core.cancel import CancelToken
from faq_tui.core.quantizing.hessian import Factor
from faq_tui.core.quantizing.job import Job
from faq_tui.core.quantizing.layers.engine import quantize_layers
from faq_tui.core.quantizing.layers.together import Solved
from faq_tui.core.quantizing.outcome import Outcome
from faq_tui.core.quantizing.progress import Progress
from faq_tui.core.quantizing.spqr.matrix import Knobs, quantize_stack
from faq_tui.core.quantizing.spqr.sidecar import Bits, count_bits, to_tensors

SIDECAR = "spqr"  # the folder with the codes
EXPORT = (
    "The safetensors files hold the dequantized weights in the target's own type: this export saves no memory "
    f"and no time. The codes, scales, zeros, outliers and column orders that average_bits counts are in {SIDECAR}/."
)


def knobs_of(job: Job) -> Knobs:
    assert job.outlier_threshold is not None and job.scale_group is not None
    return Knobs(job.bits, job.group_size, job.outlier_threshold, job.scale_bits or None, job.scale_group)


def quantize(job: Job, folder: str, rows: list[list[int]], progress: Progress, cancel: CancelToken) -> Outcome:
    """Write the model into `job.out`: an Engine of the registry."""
    from safetensors.torch import save_file

    knobs, bits = knobs_of(job), Bits()

    def solve(
        names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
    ) -> dict[str, Solved]:
        nonlocal bits
        found = {}
        for place, made in enumerate(quantize_stack(weights, factor, knobs, check)):
            dense = made.weight.to(weights[place].dtype)
            outliers, losses = made.outliers.flatten(1).sum(1).tolist(), made.loss.tolist()
            for index, sharing in enumerate(names):
                name, weight = sharing[place], dense[index]
                bits = bits + count_bits(weight.shape[0], weight.shape[1], knobs, outliers[index], ordered=True)
                tensors = to_tensors(name, made.one(index), factor.order[index], knobs, weight)
                found[name] = Solved(weight, losses[index], tensors)
        return found

    def place(layer: int, solved: dict[str, Solved]) -> dict[str, Any]:
        codes = {key: tensor for module in solved.values() for key, tensor in module.tensors.items()}
        side = job.out / SIDECAR
        side.mkdir(exist_ok=True)
        save_file(codes, side / f"layer-{layer:05}.safetensors")
        return {f"{name}.weight": module.weight for name, module in solved.items()}

    quantize_layers(job, folder, rows, progress, cancel, solve, place, by_activation=True)
    share = bits.outliers / 32 / bits.weights
    return Outcome(bits.average, {"bits": asdict(bits), "outlier_share": round(share, 6), "export": EXPORT})
