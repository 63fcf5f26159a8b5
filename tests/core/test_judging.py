"""A judge's reply becomes a mark from 1 to 10 or none; the pick is the best of the fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.judging.choose import best
from faq_tui.core.judging.llm import shorten
from faq_tui.core.judging.parse import parse_mark
from faq_tui.core.store.candidates import Candidate

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["score", "reason", "x"]), inner),
    max_leaves=8,
)
NUMBERS = st.integers() | st.floats() | st.integers(-2, 12)
REPLIES = (
    st.text(max_size=60)
    | JSON.map(json.dumps)
    | st.builds(lambda n, r: json.dumps({"reason": r, "score": n}), NUMBERS, st.text(max_size=10))
    | st.builds("Score{}{}{}".format, st.sampled_from([": ", " is ", " (1-10): ", "** ", " = "]), NUMBERS, st.text())
    | st.builds("{}{}{}".format, st.text(max_size=9), JSON.map(json.dumps), st.text(max_size=9))
)


@given(REPLIES)
def test_any_reply_is_a_mark_in_range_or_none(raw: str) -> None:
    mark = parse_mark(raw)
    assert mark.score is None or 1.0 <= mark.score <= 10.0
    assert mark.raw == raw
    assert mark.score is not None or mark.reason


@given(st.integers(-3, 14), st.text(max_size=20), st.booleans())
def test_a_reply_by_the_schema_is_read_exactly(score: int, reason: str, in_prose: bool) -> None:
    raw = json.dumps({"reason": reason, "score": score})
    mark = parse_mark(f"Here it is:\n```json\n{raw}\n```" if in_prose else raw)
    assert mark.score == (score if 1 <= score <= 10 else None)
    assert mark.score is None or mark.reason == reason


@pytest.mark.parametrize(
    ("raw", "score"),
    [
        ('{"score": 7, "reason": "ok"}', 7.0),
        ('{"score": 7.5}', 7.5),
        ('{"score": "8"}', 8.0),
        ('{"score": "8/10"}', 8.0),
        ('{"score": true}', None),
        ('{"score": 0}', None),
        ('{"score": 11}', None),
        ('{"score": NaN}', None),
        ('{"score": "great"}', None),
        ("Sound. **Score: 9/10**", 9.0),
        ("First score: 3. On reflection, score: 6", 6.0),
        ("Score: 100", None),
        ("Score (1-10): 8", None),  # a scale is no mark
        ("Score: 1 to 10", None),
        ("", None),
        ("{" * 5000, None),
        ('{"score": 5, "reason": ' + "[" * 600 + "]" * 600 + "}", 5.0),
        ("1" * 5000, None),
    ],
)
def test_parse(raw: str, score: float | None) -> None:
    assert parse_mark(raw).score == score


def candidate(number: int, flags: tuple[str, ...] = ()) -> Candidate:
    facts: dict[str, Any] = {"generation": "g", "model": "m", "prompt_version": "p", "reasoning": "r", "answer": "a"}
    facts |= {"finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1, "seconds": 0.1, "dialect": "none"}
    return Candidate(seed_id="s", source="elder", number=number, flags=flags, id=100 + number, **facts)


MARKS = st.lists(
    st.tuples(st.sampled_from([(), ("loop",), ("truncated", "empty")]), st.none() | st.integers(-9, 10).map(float)),
    max_size=6,
)


@given(MARKS, st.permutations(range(6)))
def test_the_best_is_fit_marked_and_unbeaten(marks: list[tuple[tuple[str, ...], float | None]], order: Any) -> None:
    candidates = [candidate(number, flags) for number, (flags, _) in enumerate(marks, 1)]
    scores = {c.id: score for c, (_, score) in zip(candidates, marks, strict=True)}
    fit = {c.id: s for c in candidates if not c.flags and (s := scores[c.id]) is not None}
    chosen = best([candidates[i] for i in order if i < len(candidates)], scores)
    if not fit:
        assert chosen is None
        return
    assert chosen is not None
    top = max(fit.values())
    assert chosen == min(number for number, score in fit.items() if score == top)  # a tie: the lower number


def test_a_candidate_without_a_row_of_marks_is_unscored() -> None:
    assert best([candidate(1)], {}) is None


@given(st.text(max_size=300), st.integers(1, 80))
def test_shortened_reasoning_keeps_its_ends(text: str, limit: int) -> None:
    short = shorten(text, limit)
    if len(text) <= limit:
        assert short == text
    else:
        half = limit // 2
        assert short.startswith(text[:half]) and short.endswith(text[len(text) - half :])
        assert len(short) <= limit + 60
