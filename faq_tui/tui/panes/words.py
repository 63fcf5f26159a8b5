"""Figures as words."""

from __future__ import annotations

from collections.abc import Iterable


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def lines(parts: Iterable[str], width: int) -> str:
    """The parts with dots between them, broken between parts only."""
    out = [""]
    for part in parts:
        longer = f"{out[-1]} · {part}" if out[-1] else part
        if out[-1] and len(longer) > width:
            out.append(part)
        else:
            out[-1] = longer
    return "\n".join(out)
