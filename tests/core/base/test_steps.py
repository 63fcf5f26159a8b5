"""Steps before the units of a stage: what is reported, how often, and to whom."""

from __future__ import annotations

import pytest

from faq_tui.core.base.steps import BYTES, WorkStep, report, reported_to, step


def test_a_step_without_an_amount() -> None:
    seen: list[WorkStep] = []
    with reported_to(seen.append), step("loading a model"):
        assert seen == [WorkStep("loading a model")]
    assert seen[1:] == [WorkStep("loading a model", ended=True)]


def test_an_amount_is_reported_at_most_twice_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("faq_tui.core.base.steps.time.monotonic", lambda: now[0])
    seen: list[WorkStep] = []
    with reported_to(seen.append), step("downloading m", BYTES, at_once=False) as progress:
        for done in range(1, 101):
            now[0] += 0.125
            progress.advance(done, 100)
    assert [one.done for one in seen] == [*range(1, 101, 4), 100]
    assert seen[-1] == WorkStep("downloading m", 100, 100, BYTES, ended=True)


def test_a_step_with_nothing_to_do_is_not_reported() -> None:
    seen: list[WorkStep] = []
    with reported_to(seen.append), step("downloading m", BYTES, at_once=False):
        pass
    assert not seen


def test_the_end_is_reported_after_an_error_and_the_innermost_listener_hears_it() -> None:
    outer: list[WorkStep] = []
    inner: list[WorkStep] = []
    with reported_to(outer.append):
        with reported_to(inner.append), pytest.raises(ValueError), step("x"):
            raise ValueError
        report(WorkStep("y"))
    report(WorkStep("z"))
    assert [one.ended for one in inner] == [False, True] and outer == [WorkStep("y")]
