"""The tail of Student's t."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from faq_tui.core.stats.bootstrap import tail_share


def test_the_tail_follows_students_t() -> None:
    for count, t in [(5, 2.7764), (8, 2.3646), (32, 2.0395), (1000, 1.9623)]:
        z = NormalDist().inv_cdf(1 - tail_share(count))
        assert z / math.sqrt(count / (count - 1)) == pytest.approx(t, rel=3e-3)
