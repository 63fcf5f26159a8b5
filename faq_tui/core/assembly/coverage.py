"""An order in which the first samples already drive the target's outlier channels.

Outliers are what makes quantization hard; a channel that no calibration sample drives has its range chosen
blindly. The samples go through the target once, in a worker child; which channels are outliers, and when one is
driven, is what `faq_tui.core.activations.outliers` says, with the samples themselves as the reference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faq_tui.core.assembly.sample import Sample
from faq_tui.core.errors import FaqError
from faq_tui.core.events import Note
from faq_tui.core.files import atomic_text
from faq_tui.core.stage import Context
from faq_tui.core.target import TargetModel
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.keys import without_keys

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def covering_order(context: Context, target: TargetModel, samples: Sequence[Sample]) -> list[int]:
    """Indexes of the samples, those that together drive the most outlier channels first.

    Raises FaqError or UsageError where the target has none of the modules of `activations.modules`.
    """
    run = context.run
    path = run.cache / "coverage.jsonl"
    with atomic_text(path) as file:
        for sample in samples:
            file.write(json.dumps(sample.input_ids) + "\n")
    found: list[dict[str, Any]] = []
    spec = {
        "model": target.path,
        "trust_remote_code": target.trust_remote_code,
        "device": target.device,
        "dtype": target.dtype,
        "modules": list(run.settings.activations.modules),
        "rows": str(path),
    }
    context.emit(Note(f"{len(samples)} samples go through the target to see which outlier channels each one drives"))
    run_worker("coverage", spec, found.append, context.cancel, run.log(context.job), without_keys(run.settings))
    path.unlink(missing_ok=True)
    told = next((message for message in found if message["kind"] == "order"), None)
    if told is None:
        raise FaqError(f"the target's activations could not be looked at: the details are in {run.log(context.job)}")
    if not told["outliers"]:
        context.emit(Note('no channel of the target stands out: select = "coverage" keeps the order of the draw'))
    return [int(index) for index in told["order"]]


def greedy_cover(driven: NDArray[np.bool_]) -> list[int]:
    """Row indexes of `driven` [samples, channels]: always the one that drives the most channels not yet driven.

    Greedy set cover: its first k drive at least 1 - 1/e of what any k could (Nemhauser, Wolsey and Fisher 1978).
    When no sample adds a channel the cover begins anew among those left. Equal gains go to the earlier sample.
    """
    import numpy as np

    order: list[int] = []
    left = np.ones(len(driven), dtype=bool)
    covered = np.zeros(driven.shape[1], dtype=bool)
    while left.any():
        gains = np.where(left, (driven & ~covered).sum(axis=1), -1)
        best = int(np.argmax(gains))
        if gains[best] == 0 and covered.any():
            covered[:] = False
            continue
        order.append(best)
        left[best] = False
        covered |= driven[best]
    return order
