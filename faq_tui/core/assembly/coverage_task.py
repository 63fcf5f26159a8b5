"""The worker's task `coverage`: order samples so that the first ones cover many of the target's outlier channels.

The task sends one message, `order`. The message holds the indexes of the rows in their new order, and the number of
outlier channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations.capture import measure
from faq_tui.core.activations.compare import outlier_channels, reference, threshold
from faq_tui.core.assembly.sample import Sample
from faq_tui.core.assembly.target_task import ask_target, read_rows
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Order the samples of the file `rows`, and send the order. `ask_target` describes `spec`."""
    import numpy as np

    from faq_tui.core.models.opening import opening_of

    rows, _ = read_rows(spec["rows"])
    opening, folder = opening_of(spec, cancel.check)
    model = opening.open(folder)
    measured = measure(model, rows, spec["modules"], per_row=True, cancel=cancel)
    parts = []
    for module in measured.places:
        empty = np.zeros_like(measured.places[module].absmax)
        absmaxes = [row[module][1] if module in row else empty for row in measured.rows]
        whole = reference(absmaxes)
        outliers = outlier_channels(whole)
        parts.append(np.stack(absmaxes)[:, outliers] > threshold(whole))
    driven = np.concatenate(parts, axis=1)
    send("order", order=greedy_cover(driven), outliers=driven.shape[1])


def covering_order(context: Context, target: TargetModel, samples: Sequence[Sample]) -> list[int]:
    """Sort the samples so that the first ones together cover many outlier channels. Returns the indexes of the sorted
    samples.

    Raises FaqError or UsageError if the target has none of the modules of `activations.modules`.
    """
    what = "which of the target's outlier channels each sample covers"
    result = ask_target(context, target, "coverage", samples, what)
    if not result["outliers"]:
        context.emit(Note('the target has no outlier channels, so select = "coverage" does not sort the samples'))
    return [int(index) for index in result["order"]]


def greedy_cover(driven: NDArray[np.bool_]) -> list[int]:
    """Order the samples by the outlier channels that they cover.

    `driven` is an array [samples, channels]. An entry is true if the sample covers the channel, that is, if the
    sample's largest |x| in the channel is above the channel's outlier threshold.

    This is a greedy set cover. Each step takes the sample that covers the most new channels. A channel is new if no
    earlier sample covers it. The first k samples cover at least 63% (1 - 1/e) of the channels that the best k samples
    would cover (Nemhauser, Wolsey and Fisher 1978). If no remaining sample covers a new channel, the search starts
    again with all channels as new. If several samples add equally many channels, the earliest of them is taken.
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
