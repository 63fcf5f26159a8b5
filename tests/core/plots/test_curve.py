"""Curves as text: every spike is kept, ticks are whole powers, and the same numbers draw the same characters."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.plots.cells import max_pool
from faq_tui.core.plots.curve import log_curve
from tests.support.paths import FIXTURES

GOLDEN = FIXTURES / "log_curve.txt"
WAVE = [1e-4 * 10 ** (math.sin(n / 3) + n / 40) for n in range(48)]


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")


@given(st.lists(st.floats(), max_size=300), st.integers(1, 40))
def test_pooling_keeps_the_largest_of_every_stretch(values: list[float], points: int) -> None:
    pooled = max_pool(values, points)
    finite = [value for value in values if math.isfinite(value)]
    assert len(pooled) <= max(points, 0)
    assert all(values[index] == value for index, value in pooled)
    assert [index for index, _ in pooled] == sorted(index for index, _ in pooled)
    assert max((value for _, value in pooled), default=None) == max(finite, default=None)


def test_a_curve_looks_as_it_did() -> None:
    drawn = "\n".join(plain(log_curve(WAVE, 48, 10))) + "\n"
    if not GOLDEN.exists() or os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(drawn)
        pytest.fail("written anew: look at it and run again")
    assert drawn == GOLDEN.read_text()


@pytest.mark.parametrize(("width", "height"), [(16, 4), (40, 8), (199, 50)])
def test_it_has_the_size_that_was_asked_for(width: int, height: int) -> None:
    lines = plain(log_curve(WAVE, width, height))
    assert len(lines) == height and max(map(len, lines)) <= width


def test_one_spike_among_many_is_seen_at_its_height() -> None:
    values = [1e-5] * 4096
    values[2222] = 1.0
    top = plain(log_curve(values, 60, 10))[0]
    assert top.startswith(" 1e0┤") and any(char > "\u2800" for char in top[5:])


def test_what_cannot_be_drawn_is_left_out() -> None:
    assert log_curve([], 40, 8) == ""
    assert log_curve([math.nan, math.inf, 0.0, -1.0], 40, 8) == ""
    assert log_curve(WAVE, 10, 8) == "" and log_curve(WAVE, 40, 3) == ""
    assert "1e-4" in log_curve([math.nan, 1e-4, 0.0], 40, 8)
    assert "1e-3" in log_curve([1e-3], 40, 8)


def test_it_does_not_hang_on_the_hash_seed() -> None:
    code = "from faq_tui.core.plots.curve import log_curve; print(log_curve([10.0**-n for n in range(9)], 40, 9))"
    drawn = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
                       text=True, check=True).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(drawn) == 1


def test_threads_do_not_draw_into_each_other() -> None:
    wanted = {n: log_curve(WAVE[:n], 40, 8) for n in (10, 20, 30, 40)}
    got: dict[int, set[str]] = {n: set() for n in wanted}

    def draw(n: int) -> None:
        for _ in range(5):
            got[n].add(log_curve(WAVE[:n], 40, 8))

    threads = [threading.Thread(target=draw, args=(n,)) for n in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {n: {text} for n, text in wanted.items()}


def test_4096_points_are_drawn_at_once() -> None:
    values = [1e-4 * (1 + n % 97) for n in range(4096)]
    log_curve(values, 100, 12)
    began = time.process_time()
    log_curve(values, 100, 12)
    assert time.process_time() - began < 0.2
