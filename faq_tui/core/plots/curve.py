"""A curve as ANSI text, drawn by plotext."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from faq_tui.core.plots.cells import max_pool

_ONE_AT_A_TIME = threading.Lock()  # plotext has a single global figure, so only one thread at a time may draw
LEAST_WIDTH, LEAST_HEIGHT = 16, 4


def log_curve(values: Sequence[float], width: int, height: int, colour: str = "cyan") -> str:
    """Plot `values` over their index, in `width` x `height` cells. The vertical axis is logarithmic.

    Returns "" if the plot would be too small. Only positive, finite values are drawn. A column of text shows at most
    two values. If there are more values, only the largest value of each group of neighbours is drawn, so that spikes
    stay visible.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return ""
    logs = [math.log10(value) if value > 0 and math.isfinite(value) else math.nan for value in values]
    points = max_pool(logs, 2 * width)
    if not points:
        return ""
    import plotext

    low, high = math.floor(min(y for _, y in points)), math.ceil(max(y for _, y in points))
    high = max(high, low + 1)
    with _ONE_AT_A_TIME:
        plotext.clear_figure()
        plotext.limit_size(False, False)
        plotext.plot_size(width, height)
        plotext.theme("clear")
        plotext.plot([x for x, _ in points], [y for _, y in points], marker="braille", color=colour)
        plotext.ylim(low, high)
        last = max(1, len(values) - 1)
        plotext.xlim(0, last)
        # plotext's default ticks would be at fractional powers of ten.
        powers = _spread(low, high, max(2, height // 2))
        plotext.yticks(powers, [f"1e{power}" for power in powers])
        ticks = _spread(0, last, max(2, width // 12))
        plotext.xticks(ticks, [str(tick) for tick in ticks])
        plotext.xaxes(True, False)
        plotext.yaxes(True, False)
        return str(plotext.build()).rstrip("\n")


def _spread(low: int, high: int, most: int) -> list[int]:
    """At most `most` whole numbers from `low` to `high`, including `low` and `high`."""
    step = max(1, math.ceil((high - low) / max(1, most - 1)))
    ticks = list(range(low, high + 1, step))
    if ticks[-1] != high:
        if high - ticks[-1] < step / 2 and len(ticks) > 1:
            ticks.pop()
        ticks.append(high)
    return ticks
