"""One way to write how long something takes."""

from __future__ import annotations

import pytest

from faq_tui.core.base.text import duration


@pytest.mark.parametrize(
    ("seconds", "about", "exact"),
    [
        (0.04, "0 s", "0.0 s"),
        (4.5, "4 s", "4.5 s"),
        (89.4, "89 s", "1 min 29 s"),
        (90, "2 min", "1 min 30 s"),
        (723, "12 min", "12 min 03 s"),
        (3600, "60 min", "1 h 00 min"),
        (5400, "1 h 30 min", "1 h 30 min"),
        (11100, "3 h 05 min", "3 h 05 min"),
    ],
)
def test_durations(seconds: float, about: str, exact: str) -> None:
    assert duration(seconds) == about and duration(seconds, exact=True) == exact
