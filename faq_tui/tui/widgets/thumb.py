"""The position of a scroll bar's thumb in whole rows.

With a position in parts of a row, the thumb would be drawn again for every new line of text.
"""

from __future__ import annotations


def thumb(lines: int, height: int, top: int) -> range:
    """The rows of the thumb for a view of `height` rows that begins at line `top`.

    The range is empty if all lines fit.
    """
    if height <= 0 or (lines <= height and not top):
        return range(0)
    lines = max(lines, top + height)
    size = max(1, round(height * height / lines))
    first = round(top / max(1, lines - height) * (height - size))
    return range(first, first + size)


def top_at(row: int, lines: int, height: int) -> int:
    """The first line of the view when the user drags the middle of the thumb to `row`."""
    size = max(1, round(height * height / max(1, lines)))
    share = (row - size // 2) / max(1, height - size)
    return round(max(0.0, min(1.0, share)) * max(0, lines - height))
