"""The activations of two sets side by side on the same scale.

The upper part shows the peak of each channel. The lower part is a map with tokens as rows and channels as columns. In
a low pane, only the map is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from faq_tui.core.activations.statistics import column_width
from faq_tui.core.activations.view import absmax, landscape
from faq_tui.core.base.text import sanitize
from faq_tui.core.plots.cells import line
from faq_tui.core.plots.landscape import PEAK, heat, legend, peaks, skyline
from faq_tui.core.run.run import Run
from faq_tui.tui.panes.spikes.view_state import SpikesViewState
from faq_tui.tui.widgets.short import middle, padded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

AXIS = 7  # width in columns of the scale's labels
GAP = 2
LEAST_HEIGHT = 9  # with fewer lines there is no space for the peaks of the channels
LEAST_WITH_TEXT = 4  # with fewer lines there is only the map


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
        return ["The files of these sets are missing. The stage activations makes them again."]
    top = max(side.highest for side in sides)
    if height < LEAST_HEIGHT:
        return _low(sides, view_state, top, width, height)
    first, last = window(sides, view_state.zoom)
    each = (width - AXIS - GAP * (len(sides) - 1)) // len(sides)
    sky = (height - 4) * (2 if view_state.colours else 3) // 5
    ground = height - 4 - sky
    blocks = [_block(side, top, first, last, each, sky, ground, view_state.colours) for side in sides]
    labels = _axis(top, sky, ground)
    heading = sanitize(
        f"layer {view_state.layer} {view_state.module}: |x|, same scale; peak = above {PEAK * top:.3g} (dashed)"
    )
    rows = [line((mark, "dim") for mark in heading[:width])]
    rows.append(" " * AXIS + (" " * GAP).join(_titles(sides, top, each)))
    rows += [label + (" " * GAP).join(parts) for label, *parts in zip(labels, *blocks, strict=True)]
    under = f"channels {first} to {last - 1}" + (f", zoom {view_state.zoom}×" if view_state.zoom > 1 else "")
    foot = " " * AXIS + (" " * GAP).join([f"{under:<{each}}"[:each]] * len(sides))
    rows.append(line((mark, "dim") for mark in foot))
    rows.append(f"{'|x|':>{AXIS - 1}} {legend(width - AXIS, top, view_state.colours)}")
    return rows


def _low(sides: list[Side], view_state: SpikesViewState, top: float, width: int, height: int) -> list[str]:
    """Only the map, with its titles above and its legend below if there is space for them."""
    first, last = window(sides, view_state.zoom)
    each = (width - GAP * (len(sides) - 1)) // len(sides)
    if each < 1 or height < 1:
        return []
    texts = height >= LEAST_WITH_TEXT
    ground = height - 2 if texts else height
    blocks = [heat(_window(side, first, last), each, ground, top, view_state.colours) for side in sides]
    rows = [(" " * GAP).join(parts) for parts in zip(*blocks, strict=True)]
    if not texts:
        return rows
    place = sanitize(f"layer {view_state.layer} {view_state.module} ")
    place = place if len(place) <= width // 2 else f"layer {view_state.layer} "[:width]
    below = line((mark, "dim") for mark in place) + legend(width - len(place), top, view_state.colours)
    return [(" " * GAP).join(_titles(sides, top, each)), *rows, below]


def _titles(sides: list[Side], top: float, each: int) -> list[str]:
    highest = max(sides, key=lambda side: side.highest)
    return [_title(side, top, len(sides) > 1 and side is highest, each) for side in sides]


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


def _block(
    side: Side, top: float, first: int, last: int, width: int, sky: int, ground: int, colours: bool
) -> list[str]:
    bars = skyline(side.absmax[first:last], width, sky, top)
    return [*bars, *heat(_window(side, first, last), width, ground, top, colours)]


def _window(side: Side, first: int, last: int) -> Floats:
    """The landscape of the channels from `first` to `last` - 1."""
    step = column_width(len(side.absmax))
    return side.landscape[:, first // step : -(-last // step)]


def _title(side: Side, top: float, is_highest: bool, width: int) -> str:
    """The name of the set, its highest value and its number of peaks.

    If the text is too long, the number of peaks is left out.
    """
    name, value = f"{'▲ ' if is_highest else ''}{sanitize(side.name)}", f"{side.highest:.3g}"
    short = f"{name}: highest {value}"
    text = f"{short}, {peaks(side.landscape, top)} peaks"
    text = text if cell_len(text) <= width else short
    if cell_len(text) > width:
        text = f"{middle(name, max(1, width - len(value) - 1))} {value}"
    return line((c, "peak" if is_highest else "bold") for c in padded(text, width))


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
