"""SVG elements as text, and the scales of axes."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from faq_tui.core.report.formatting import one_line


def element(name: str, content: str = "", **attributes: object) -> str:
    """`class_` is the attribute class, `stroke_width` is stroke-width; `content` is SVG already."""
    listed = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_short(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{listed}>{content}</{name}>"


def text(x: float, y: float, said: str, class_: str = "", anchor: str = "start", longest: int = 60) -> str:
    return element(
        "text", html.escape(one_line(said, longest)), x=x, y=y, class_=class_ or "label", text_anchor=anchor
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """`title` is read out where the picture cannot be seen."""
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
    """From numbers in [low, high] to pixels in [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within."""
        step = _step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scale(values: Sequence[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """Holds all `values`, with some room on either side."""
    low, high = min(values), max(values)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
