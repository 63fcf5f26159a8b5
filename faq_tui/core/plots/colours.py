"""The colours of heat maps and surfaces: one map from low (dark violet) to high (orange).

The colours are stops of matplotlib's map inferno (CC0), without its darkest and its lightest part. The colours become
evenly lighter, so that equal steps of a value look equally large, even in black and white. All colours can be seen on
dark and on light backgrounds.
"""

from __future__ import annotations

STOPS = (
    (22, 11, 57),
    (66, 10, 104),
    (106, 23, 110),
    (147, 38, 103),
    (188, 55, 84),
    (221, 81, 58),
    (243, 120, 25),
    (252, 165, 10),
)
LEVELS = 32  # number of different colours; neighbouring cells of one colour need only one escape sequence

Rgb = tuple[int, int, int]


def level_of(share: float) -> int:
    """The level, 0 to LEVELS - 1, of a value. `share` is the value divided by the end of the scale.

    Shares below 0 and above 1 count as 0 and 1. A share that is not a number counts as 0.
    """
    return min(LEVELS - 1, max(0, int(share * LEVELS))) if share == share else 0


def colour_of(level: int) -> Rgb:
    """The colour of a level: red, green and blue from 0 to 255."""
    place = level / (LEVELS - 1) * (len(STOPS) - 1)
    index = min(len(STOPS) - 2, int(place))
    rest = place - index
    red, green, blue = (round(a + (b - a) * rest) for a, b in zip(STOPS[index], STOPS[index + 1], strict=True))
    return red, green, blue


def hexadecimal(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """The colour between `one` (share 0) and `other` (share 1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
