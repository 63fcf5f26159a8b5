"""Think tags: the stream shows what the whole reply says, however the server cuts it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.chat.dialects import ReasoningStream, split_reasoning
from faq_tui.core.chat.dialects.families import THINK

OPEN, CLOSE = THINK.tags

# Tags, halves of tags and plain words: every way in which a chunk can end in the middle of something.
PIECES = st.sampled_from([OPEN, CLOSE, "<", "</", "<think", "</thin", "think>", ">", " ", "\n", "a", "reason", "é"])
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)


def streamed(text: str, cuts: list[int]) -> tuple[str, str]:
    """(reasoning, answer) of the text fed in pieces."""
    stream, reasoning, answer = ReasoningStream(), "", ""
    bounds = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in itertools.pairwise(bounds):
        thought, said = stream.feed(text[start:end])
        reasoning, answer = reasoning + thought, answer + said
    return reasoning, answer


@given(TEXTS, st.lists(st.integers(0, 200), max_size=12))
def test_any_chunking_shows_what_the_whole_reply_says(rest: str, cuts: list[int]) -> None:
    text = OPEN + rest
    reasoning, answer = streamed(text, cuts)
    whole_reasoning, whole_answer, closed = split_reasoning(text)
    if closed:
        assert (reasoning.strip(), answer.strip()) == (whole_reasoning, whole_answer)
    else:  # the start of a tag at the very end is held back
        held = rest[len(reasoning) :]
        assert answer == "" and reasoning + held == rest and CLOSE.startswith(held) and held != CLOSE


@given(TEXTS, st.lists(st.integers(0, 200), max_size=12))
def test_how_a_text_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    assert streamed(text, cuts) == streamed(text, []) == streamed(text, list(range(len(text))))


@given(TEXTS)
def test_a_text_without_tags_is_all_answer(text: str) -> None:
    text = "x" + text.replace("<", "(")
    assert split_reasoning(text) == ("", text.strip(), True)
    assert streamed(text, []) == ("", text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>why</think>so", ("why", "so", True)),
        ("\n <think>\nwhy\n</think>\n\nso", ("why", "so", True)),
        ("why</think>so", ("why", "so", True)),  # the template opened the tag
        ("<think>why", ("why", "", False)),
        ("<think></think>so", ("", "so", True)),
        ("so <think> later </think>", ("so <think> later", "", True)),
        ("so", ("", "so", True)),
        ("", ("", "", True)),
        ("<think>a</think>b</think>c", ("a", "b</think>c", True)),
    ],
)
def test_split(text: str, parts: tuple[str, str, bool]) -> None:
    assert split_reasoning(text) == parts
