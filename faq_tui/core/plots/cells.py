"""Styled cells as ANSI text: in the sixteen standard colours, or in 24-bit colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

STYLES = {
    "": "",
    "dim": "2",
    "low": "34",
    "middle": "36",
    "high": "33",
    "peak": "1;91",
    "bold": "1",
}

Cell = tuple[str, str]  # a character, and its style: a name in `STYLES`, or parameters of an SGR sequence


def line(cells: Iterable[Cell]) -> str:
    """The cells as one line of text. Neighbouring cells with the same style share one escape sequence."""
    out = ""
    for style, group in groupby(cells, key=lambda cell: cell[1]):
        text = "".join(mark for mark, _ in group)
        out += f"\x1b[{STYLES.get(style, style)}m{text}\x1b[0m" if style else text
    return out


def max_pool(values: Sequence[float], points: int) -> list[tuple[int, float]]:
    """Split `values` into at most `points` groups of neighbours.

    For each group, returns (index, value) of its largest finite value.
    """
    finite = [(index, value) for index, value in enumerate(values) if math.isfinite(value)]
    if len(values) <= points or not finite:
        return finite
    largest: dict[int, tuple[int, float]] = {}
    for index, value in finite:
        stretch = index * points // len(values)
        if stretch not in largest or value > largest[stretch][1]:
            largest[stretch] = (index, value)
    return list(largest.values())
