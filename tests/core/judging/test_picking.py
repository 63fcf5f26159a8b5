"""The pick is the best of the candidates that are fit."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.judging.picking import best_candidate
from faq_tui.core.store.candidates import Candidate


def candidate(number: int, flags: tuple[str, ...] = (), finish: str = "stop") -> Candidate:
    facts: dict[str, Any] = {"source_hash": "g", "model": "m", "prompt_version": "p", "reasoning": "r", "answer": "a"}
    facts |= {"finish_reason": finish, "prompt_tokens": 1, "completion_tokens": 1, "seconds": 0.1, "dialect": "none"}
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
    chosen = best_candidate([candidates[i] for i in order if i < len(candidates)], scores)
    if not fit:
        assert chosen is None
        return
    assert chosen is not None
    top = max(fit.values())
    assert chosen == min(number for number, score in fit.items() if score == top)  # a tie: the lower number


def test_of_equal_marks_the_one_that_finished_is_picked() -> None:
    assert best_candidate([candidate(1, finish="stop_sequence"), candidate(2)], {101: 8.0, 102: 8.0}) == 102


def test_a_candidate_without_a_row_of_marks_is_unscored() -> None:
    assert best_candidate([candidate(1)], {}) is None
