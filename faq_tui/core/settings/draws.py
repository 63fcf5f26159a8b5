"""The same calibration set drawn again: `elder`, `elder-r2`, `elder-r3` …"""

from __future__ import annotations

import re

DRAW = re.compile(r"(?P<set>.+)-r(?P<number>[1-9]\d*)")


def draw_name(name: str, number: int) -> str:
    """The set's name in its draw `number`; the first has the plain name."""
    return name if number == 1 else f"{name}-r{number}"


def plain_name(name: str) -> str:
    """The set whose further draw this is; itself if it is none."""
    found = DRAW.fullmatch(name)
    return found["set"] if found and int(found["number"]) > 1 else name
