"""The position of a scroll bar's thumb in whole rows. A finer one would be drawn again with every new line."""

from __future__ import annotations


def thumb(lines: int, height: int, top: int) -> range:
    """The rows of the thumb for a view of `height` rows that begins at line `top`; none if all lines fit."""
    if height <= 0 or (lines <= height and not top):
        return range(0)
    lines = max(lines, top + height)
    size = max(1, round(height * height / lines))
    first = round(top / max(1, lines - height) * (height - size))
    return range(first, first + size)


def top_at(row: int, lines: int, height: int) -> int:
    """The line that the view begins with when the thumb's middle is dragged to `row`."""
    size = max(1, round(height * height / max(1, lines)))
    share = (row - size // 2) / max(1, height - size)
    return round(max(0.0, min(1.0, share)) * max(0, lines - height))
