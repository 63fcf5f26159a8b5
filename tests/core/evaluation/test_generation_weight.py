"""The time left of an evaluation whose generated tokens take longer than the tokens that are read."""

from __future__ import annotations

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.time_left import TimeLeft
from faq_tui.core.evaluation import generation_weight
from faq_tui.core.evaluation.generation_weight import GenerationWeight

READ, STEP, ROWS = 1 / 450, 0.14, 16  # seconds to read a token, and to generate one token of each of the 16 answers


def test_the_time_left_is_right_from_the_first_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def measure(_model: object, items: list[object], *_: object) -> None:
        nonlocal now
        now += READ * len(items[0].ids)  # type: ignore[attr-defined]

    monkeypatch.setattr(generation_weight, "measure", measure)
    monkeypatch.setattr(generation_weight, "Backbone", lambda model: model)
    weight, left, shown = GenerationWeight(lambda: now), TimeLeft(), list[tuple[float, float]]()
    weight.read(object(), [range(2000), range(10)], CancelToken())
    done, reading, generating = 0.0, 90_000, 256 * ROWS
    end = now + 3 + 256 * STEP + reading * READ

    def count(tokens: float) -> None:
        nonlocal done
        done += tokens
        left.report(done, now)
        seconds = left.seconds(reading + generating * weight.value, now)
        if seconds is not None:
            shown.append((seconds, end - now))

    with weight.counted(count, lambda: None) as generated:
        now += 3  # the model reads the prompts
        for _ in range(256):
            now += STEP
            generated(ROWS)
    assert weight.value == pytest.approx(STEP / ROWS / READ)
    for _ in range(reading // 2000):
        now += 2000 * READ
        count(2000)
    assert done == pytest.approx(reading + generating * weight.value)
    assert len(shown) > 250
    assert all(seconds == pytest.approx(actual, rel=0.1, abs=2) for seconds, actual in shown)


def test_very_short_answers_are_counted_too() -> None:
    weight, counted = GenerationWeight(), list[float]()
    with weight.counted(counted.append, lambda: None) as generated:
        generated(3)
        generated(3)
    assert sum(counted) == 6 and weight.known


def test_without_anything_to_read_a_generated_token_counts_as_one() -> None:
    weight, counted = GenerationWeight(), list[float]()
    weight.read(object(), [], CancelToken())
    with weight.counted(counted.append, lambda: None) as generated:
        generated(5)
        assert counted == [5]
