"""Draw SVG figures: elements as text, scales of axes, and the forest plot of differences with their intervals."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.report.forest import EQUALS, GROUPS, ForestPanel, ForestRow, panels
from faq_tui.core.report.formatting import one_line
from faq_tui.core.report.html.from_markdown import VERDICTS


def element(name: str, content: str = "", **attributes: object) -> str:
    """An SVG element.

    `content` is SVG. The argument `class_` becomes the attribute `class`. The argument `stroke_width` becomes the
    attribute `stroke-width`.
    """
    listed = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_short(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{listed}>{content}</{name}>"


def text(x: float, y: float, content: str, class_: str = "", anchor: str = "start", longest: int = 60) -> str:
    return element(
        "text", html.escape(one_line(content, longest)), x=x, y=y, class_=class_ or "label", text_anchor=anchor
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """An SVG figure. `title` is the text that screen readers read."""
    return element(
        "svg",
        element("title", html.escape(one_line(title))) + "\n".join(parts),
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        role="img",
        style=f"max-width: {_short(width)}px",
    )


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Scale:
    """Maps numbers in [low, high] to pixels in [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """The round numbers within the scale, at which ticks are drawn."""
        step = _step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scale(values: Sequence[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """A scale that contains all `values`, with a margin on both sides."""
    low, high = min(values), max(values)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


WIDTH, ROW, TOP, BOTTOM = 952, 26, 40, 34
LEFT, RIGHT = 440, 190  # in pixels: width of the labels on the left, and width of the numbers on the right


def forests(body: dict[str, Any]) -> str:
    """One forest plot for each main metric. Comparisons at equal tokens come first."""
    return "\n".join(_panel(panel) for panel in panels(body))


def _panel(panel: ForestPanel) -> str:
    metric, title = panel.metric, METRICS.get(panel.metric).title
    across = scale(panel.ends(), LEFT, WIDTH - RIGHT)
    groups = [(equal, [row for row in panel.rows if row.equal == equal]) for equal in EQUALS]
    groups = [(equal, rows) for equal, rows in groups if rows]
    height = TOP + ROW * (len(panel.rows) + len(groups)) + BOTTOM
    parts = [text(0, 16, f"{title}: set against baseline", "heading")]
    parts += [text(LEFT, 16, "← worse", "faint"), text(WIDTH - RIGHT, 16, "better →", "faint", "end")]
    parts += _axis(metric, across, panel.sign, height)
    y = TOP + ROW / 2
    for equal, rows in groups:
        parts.append(text(0, y + 4, GROUPS[equal], "faint"))
        for number, row in enumerate(rows, 1):
            parts += _row(metric, row, across, panel.sign, y + ROW * number)
        y += ROW * (len(rows) + 1)
    return f"<figure>{svg(WIDTH, height, parts, f'{title}: differences with intervals')}</figure>"


def _axis(metric: str, across: Scale, sign: float, height: float) -> list[str]:
    bottom = height - BOTTOM
    parts = []
    for tick in across.ticks():
        x, value = across(tick), sign * tick
        parts.append(line(x, TOP - 8, x, bottom, "zero" if abs(tick) < 1e-12 else "grid"))
        label = "0" if abs(tick) < 1e-12 else formatting.change(metric, value)
        parts.append(text(x, bottom + 18, label, "tick", "middle"))
    return parts


def _row(metric: str, row: ForestRow, across: Scale, sign: float, y: float) -> list[str]:
    difference, mark = row.outcome["difference"], VERDICTS[row.verdict]
    parts = [text(12, y + 4, row.what, longest=66)]
    if difference["low"] is not None:
        parts.append(
            line(across(sign * difference["low"]), y, across(sign * difference["high"]), y, f"interval {mark}")
        )
    parts.append(element("circle", cx=across(sign * difference["value"]), cy=y, r=5, class_=f"point {mark}"))
    label = f"{formatting.change(metric, difference['value'])}  {row.verdict}"
    return [*parts, text(WIDTH - RIGHT + 12, y + 4, label, f"label {mark}")]
