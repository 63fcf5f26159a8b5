"""The time left: nothing before it means something, no jumps with bursts, and the truth in the end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from faq_tui.core.base.time_left import LEAST_TIME_S, TimeLeft

TICK_S = 0.5


def served(total: int, at_once: int, seed: int, slower_from: float = 2.0) -> Iterator[tuple[float, list[float]]]:
    """(time, times of the answers that were finished since the last tick) of a server that answers `at_once`
    requests at the same time. The lengths of the answers differ much. After the share `slower_from`, the server is
    half as fast."""
    dice = random.Random(seed)
    waiting = [dice.lognormvariate(2.7, 0.7) for _ in range(total)]
    running: list[float] = []
    now, done = 0.0, 0
    while done < total:
        while len(running) < at_once and waiting:
            running.append(waiting.pop())
        now += TICK_S
        speed = 0.5 if done > slower_from * total else 1.0
        running = [left - TICK_S * speed for left in running]
        ended = [now for left in running if left <= 0]
        running = [left for left in running if left > 0]
        done += len(ended)
        yield now, ended


def estimates(
    total: int, at_once: int, seed: int, slower_from: float = 2.0
) -> tuple[list[tuple[float, float]], float]:
    """The shown estimates as (time, seconds left), and the whole time."""
    time_left, done, shown, now = TimeLeft(), 0, [], 0.0
    for now, ended in served(total, at_once, seed, slower_from):
        for at in ended:
            done += 1
            time_left.report(done, at)
        left = time_left.seconds(total, now, at_once)
        if left is not None:
            shown.append((now, left))
    return shown, now


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("total", "at_once"), [(60, 4), (200, 16), (768, 32)])
def test_the_estimate_does_not_jump(total: int, at_once: int, seed: int) -> None:
    """Between two draws of the screen, it departs from a steady count-down by at most 2 % of the whole time."""
    shown, whole = estimates(total, at_once, seed)
    jumps = [abs(later - (left - TICK_S)) for (_, left), (_, later) in pairwise(shown)]
    assert max(jumps) < 0.02 * whole
    assert shown[0][0] < 0.25 * whole, "it does not come too late"
    in_the_middle = [(at, left) for at, left in shown if 0.3 * whole < at < 0.7 * whole]
    assert all(abs(left - (whole - at)) < 0.35 * whole for at, left in in_the_middle)


def test_a_slower_server_is_noticed() -> None:
    shown, whole = estimates(400, 16, 1, slower_from=0.4)
    late = [left - (whole - at) for at, left in shown if 0.6 * whole < at < 0.9 * whole]
    assert all(abs(error) < 0.15 * whole for error in late)


def test_nothing_is_estimated_before_it_means_something() -> None:
    time_left = TimeLeft()
    assert time_left.seconds(100, 60.0) is None and time_left.per_second(100, 60.0) is None
    time_left.report(1, 60.0)  # the model was loaded before
    assert time_left.seconds(100, 61.0) is None, "one report has no rate"
    time_left.report(2, 61.0)
    assert time_left.seconds(100, 61.0) is None, f"less than {LEAST_TIME_S} s"
    time_left.report(5, 64.0)
    assert time_left.seconds(100, 64.0, at_least=6) is None, "fewer units than a server answers at the same time"
    assert time_left.seconds(100, 64.0, at_least=5) == pytest.approx(95)
    assert time_left.seconds(10, 64.0, at_least=32) is not None, "half of a small stage is enough"
    few = TimeLeft()
    for done in range(1, 10):
        few.report(done, float(done))
    assert few.seconds(1000, 9.0) is None and few.seconds(800, 9.0) == pytest.approx(791), "less than 1 % is done"


def steady(units: int) -> TimeLeft:
    time_left = TimeLeft()
    for done in range(1, units + 1):
        time_left.report(done, 2.0 * done)
    return time_left


def test_it_counts_down_between_reports_and_grows_when_the_next_one_is_overdue() -> None:
    time_left = steady(10)
    left = [time_left.seconds(20, at) for at in (20.0, 21.0, 22.0, 23.0, 24.0)]
    assert left == pytest.approx([20, 19, 18, 17.3, 16.9], abs=0.1)
    assert (time_left.seconds(20, 120.0) or 0) > 60 and (time_left.per_second(20, 120.0) or 1) < 0.2


def test_a_time_without_a_server_is_not_counted() -> None:
    time_left = steady(10)
    time_left.pause(600.0, 621.0)
    time_left.report(11, 622.0)
    assert time_left.per_second(20, 622.0) == pytest.approx(0.5)
    time_left.pause(600.0, 622.5)  # only the time since the last report can be left out
    time_left.report(12, 624.0)
    assert time_left.per_second(20, 624.0) == pytest.approx(0.5, rel=0.05)


def test_a_clock_that_goes_back_does_no_harm() -> None:
    time_left = steady(10)
    assert time_left.seconds(20, 20.0) == pytest.approx(20)
    assert time_left.seconds(20, 15.0) == pytest.approx(20)
    time_left.report(11, 10.0)
    time_left.report(11, 30.0)  # no progress
    assert time_left.seconds(20, 20.0) is not None
