"""Figures as words."""

from __future__ import annotations

from collections.abc import Iterable


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
