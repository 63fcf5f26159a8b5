"""The activations of two sets side by side on the same scale.

The upper part shows the peak of each channel. The lower part is a map with tokens as rows and channels as columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faq_tui.core.activations.statistics import column_width
from faq_tui.core.activations.view import absmax, landscape
from faq_tui.core.base.text import sanitize
from faq_tui.core.plots.cells import line
from faq_tui.core.plots.landscape import PEAK, heat, peaks, skyline
from faq_tui.core.run.run import Run
from faq_tui.tui.panes.spikes.view_state import SpikesViewState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

AXIS = 7  # width in columns of the scale's labels
GAP = 2
LEAST_HEIGHT = 7


@dataclass(frozen=True)
class Side:
    """The activations of one set."""

    name: str
    absmax: Floats  # [channels]
    landscape: Floats  # [slices, columns]

    @property
    def highest(self) -> float:
        return float(self.absmax.max())


def drawn(run: Run, view_state: SpikesViewState, width: int, height: int) -> list[str]:
    """The drawing as `height` lines of ANSI text."""
    sides = [
        Side(name, channels, cells)
        for name in view_state.names
        if (channels := absmax(run, name, view_state.module_ref)) is not None
        and (cells := landscape(run, name, view_state.module_ref)) is not None
    ]
    if not sides:
        return ["The files of these sets are missing. Press r to measure the sets again."]
    if height < LEAST_HEIGHT:
        return []
    top = max(side.highest for side in sides)
    first, last = window(sides, view_state.zoom)
    each = (width - AXIS - GAP * (len(sides) - 1)) // len(sides)
    sky = (height - 3) * 3 // 5
    ground = height - 3 - sky
    blocks = [_block(side, top, first, last, each, sky, ground) for side in sides]
    labels = _axis(top, sky, ground)
    highest = max(sides, key=lambda side: side.highest)
    heading = sanitize(
        f"layer {view_state.layer} {view_state.module}: |x|, same scale; red = above {PEAK * top:.3g} (dashed)"
    )
    titles = [_title(side, top, len(sides) > 1 and side is highest, each) for side in sides]
    rows = [line((mark, "dim") for mark in heading[:width])]
    rows.append(" " * AXIS + (" " * GAP).join(titles))
    rows += [label + (" " * GAP).join(parts) for label, *parts in zip(labels, *blocks, strict=True)]
    under = f"channels {first} to {last - 1}" + (f", zoom {view_state.zoom}×" if view_state.zoom > 1 else "")
    foot = " " * AXIS + (" " * GAP).join([f"{under:<{each}}"[:each]] * len(sides))
    rows.append(line((mark, "dim") for mark in foot))
    return rows


def window(sides: list[Side], zoom: int) -> tuple[int, int]:
    """The range (start, stop) of the channels to show.

    If `zoom` is above 1, the range has only the columns around the highest peak.
    """
    channels = len(sides[0].absmax)
    step = column_width(channels)
    highest = max(sides, key=lambda side: side.highest)
    size = max(step, channels // zoom // step * step) if zoom > 1 else channels
    start = int(highest.absmax.argmax()) - size // 2
    start = max(0, min(start, channels - size)) // step * step
    return start, min(channels, start + size)


def _block(side: Side, top: float, first: int, last: int, width: int, sky: int, ground: int) -> list[str]:
    step = column_width(len(side.absmax))
    cells = side.landscape[:, first // step : -(-last // step)]
    return [*skyline(side.absmax[first:last], width, sky, top), *heat(cells, width, ground, top)]


def _title(side: Side, top: float, is_highest: bool, width: int) -> str:
    cells = peaks(side.landscape, top)
    mark = "▲ " if is_highest else ""
    text = f"{mark}{sanitize(side.name)}: highest {side.highest:.3g}, {cells} red"
    return line((c, "peak" if is_highest else "bold") for c in f"{text:<{width}}"[:width])


def _axis(top: float, sky: int, ground: int) -> list[str]:
    """The labels of the scale and of the map's rows."""
    labels = [""] * (sky + ground)
    labels[0] = f"{top:.3g}"
    labels[sky - 1 - int(PEAK * sky)] = f"{PEAK * top:.3g}"
    labels[sky - 1] = "0"
    if ground > 1:
        labels[sky] = "tokens"
        labels[-1] = "↓"
    return [f"{label:>{AXIS - 1}} " for label in labels]
