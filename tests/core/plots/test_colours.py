"""The map of colours: higher values are lighter, and every value has a colour."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.plots.colours import LEVELS, colour_of, hexadecimal, level_of, mixed

SHARES = st.floats(-1, 2, allow_nan=False)


def luminance(colour: tuple[int, int, int]) -> float:
    parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def lightness(colour: tuple[int, int, int]) -> float:
    """L* of CIELAB: equal steps of it look equally large."""
    light = luminance(colour)
    return 116 * light ** (1 / 3) - 16 if light > 0.008856 else 903.3 * light


def test_equal_steps_look_equally_large() -> None:
    steps = [lightness(colour_of(level)) for level in range(LEVELS)]
    changes = [after - before for before, after in pairwise(steps)]
    assert min(changes) > 0.5 and max(changes) < 4 * min(changes)
    assert steps[0] < 10 and steps[-1] > 70, "the whole range is used"


@settings(deadline=None)
@given(SHARES, SHARES)
def test_a_higher_value_never_has_a_darker_colour(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= level_of(low) <= level_of(high) < LEVELS
    assert lightness(colour_of(level_of(low))) <= lightness(colour_of(level_of(high)))


def test_ends() -> None:
    assert level_of(math.nan) == level_of(0.0) == 0 and level_of(1.0) == LEVELS - 1
    assert hexadecimal((1, 2, 255)) == "#0102ff" and mixed((0, 0, 0), (10, 20, 30), 0.5) == (5, 10, 15)
