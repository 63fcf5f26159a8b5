"""Numbers as a person reads them."""

from __future__ import annotations


def duration(seconds: float, exact: bool = False) -> str:
    """`45 s`, `12 min`, `3 h 05 min`. With `exact`, what was measured: `4.5 s`, `12 min 03 s`, `3 h 05 min`."""
    if exact and seconds < 60:
        return f"{seconds:.1f} s"
    if not exact and seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes, rest = divmod(round(seconds), 60) if exact else (round(seconds / 60), 0)
    if minutes >= (60 if exact else 90):
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if exact else f"{minutes} min"
