"""Where an answer departs from the unquantized model's answer: properties, and the cases at the ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.trying.answer import TriedAnswer
from faq_tui.core.trying.departure import compare, equal_start

# Few ids, so that answers often begin alike. Each id has one text, and some tokens complete no character.
TEXTS = {0: " a", 1: "", 2: "b\n", 3: "é", 4: " "}
IDS = st.lists(st.sampled_from(sorted(TEXTS)), max_size=12)
ENDS = st.sampled_from(["done", "answering", "stopped"])


def answer_of(ids: list[int], state: str = "done", reason: str = "stop", opened: str = "") -> TriedAnswer:
    answer = TriedAnswer("x", state=state, opened=opened)  # type: ignore[arg-type]
    answer.ids, answer.texts = list(ids), [TEXTS[token] for token in ids]
    answer.finish_reason = reason if state == "done" else ""
    return answer


@given(IDS, IDS, ENDS, ENDS)
def test_the_parts_are_the_answer_and_begin_to_differ_at_the_first_other_token(
    theirs: list[int], ours: list[int], reference_ends: str, ends: str
) -> None:
    reference, answer = answer_of(theirs, reference_ends), answer_of(ours, ends, opened="<think>")
    found = compare(reference, answer)
    assert found.same + found.first + found.later + found.open == answer.text, "no character is lost or repeated"
    assert ours[: found.equal] == theirs[: found.equal], "the equal tokens are equal"
    assert found.same == "<think>" + "".join(TEXTS[token] for token in ours[: found.equal])
    if found.equal < min(len(ours), len(theirs)):
        assert ours[found.equal] != theirs[found.equal], "and no further token is"
        assert found.departed
    elif len(ours) == len(theirs):
        assert not found.departed
    elif len(ours) > len(theirs):
        assert found.departed == (reference_ends == "done"), "the other answer may still grow"
    else:
        assert found.departed == (ends == "done")
    assert found.ends == (found.departed and found.equal == len(ours))
    if found.departed:
        assert not found.open and (found.first or not found.later)
        assert found.first == "" or any(found.first.endswith(text) for text in TEXTS.values() if text)
    else:
        assert not found.first and not found.later


@given(IDS, st.data())
def test_a_streamed_answer_never_takes_a_departure_back(ids: list[int], data: Any) -> None:
    """A token that is marked stays marked, whichever of the two answers grows next."""
    other = data.draw(IDS)
    reference, answer = answer_of([], "answering"), answer_of([], "answering")
    marks: int | None = None
    while len(reference.ids) < len(ids) or len(answer.ids) < len(other):
        grows, of = (reference, ids), (answer, other)
        one, whole = grows if data.draw(st.booleans()) else of
        if len(one.ids) == len(whole):
            one, whole = of if one is reference else grows
        token = whole[len(one.ids)]
        one.take({"kind": "tokens", "ids": [token], "texts": [TEXTS[token]], "seconds": 0.1})
        found = compare(reference, answer)
        assert marks is None or (found.departed and found.equal == marks)
        marks = found.equal if found.departed else None


@given(IDS)
def test_equal_answers_do_not_depart(ids: list[int]) -> None:
    found = compare(answer_of(ids), answer_of(ids))
    assert not found.departed and found.equal == len(ids)


def test_the_same_tokens_but_only_one_model_stops() -> None:
    assert compare(answer_of([0, 2], reason="length"), answer_of([0, 2], reason="stop")).departed


def test_a_token_without_characters_marks_the_next_ones() -> None:
    found = compare(answer_of([0, 0]), answer_of([0, 1, 3, 2]))
    assert (found.same, found.first, found.later, found.equal) == (" a", "é", "b\n", 1)


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [("The sky", "The sea", ("The s", "e", "a")), ("The sky", "The sky", ("The sky", "", ""))],
)
def test_without_ids_characters_are_compared(theirs: str, ours: str, expected: tuple[str, str, str]) -> None:
    """A server sends pieces of text, and no two servers cut them alike."""
    reference, answer = TriedAnswer("a", "done", finish_reason="stop"), TriedAnswer("b", "done", finish_reason="stop")
    reference.texts, answer.texts = list(theirs), [ours[:2], ours[2:]]
    found = compare(reference, answer)
    assert (found.same, found.first, found.later) == expected and not found.by_token


def test_equal_start() -> None:
    assert equal_start([1, 2, 3], [1, 2, 4, 5]) == 2 and equal_start([], [1]) == 0 and equal_start("ab", "ab") == 2
