"""Other ways to write the turns of a conversation keep every text."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.chat.turns import BETWEEN, other_turns, with_neighbours_joined, with_system_folded

ROLES = st.lists(st.sampled_from(["system", "user", "assistant"]), max_size=7).map(lambda roles: [*roles, "user"])


def conversation(roles: list[str]) -> list[dict[str, str]]:
    return [{"role": role, "content": f"{role} {number}"} for number, role in enumerate(roles)]


@given(ROLES)
def test_every_way_keeps_all_texts(roles: list[str]) -> None:
    messages = conversation(roles)
    ways = list(other_turns(messages))
    for turns in ways:
        together = BETWEEN.join(turn["content"] for turn in turns)
        assert sorted(together.split(BETWEEN)) == sorted(message["content"] for message in messages)
        assert turns[-1]["role"] == "user" and turns[-1]["content"].endswith(messages[-1]["content"])
        assert turns != messages
    assert bool(ways) == ("system" in roles or any(a == b for a, b in pairwise(roles)))
    assert len({str(turns) for turns in ways}) == len(ways) <= 3


@given(ROLES)
def test_no_system_turn_and_no_neighbours_are_left(roles: list[str]) -> None:
    messages = conversation(roles)
    before = conversation(roles)
    folded = with_system_folded(messages)
    assert "system" not in [turn["role"] for turn in folded]
    joined = [turn["role"] for turn in with_neighbours_joined(folded)]
    assert all(a != b for a, b in pairwise(joined))
    assert messages == before


def test_empty_texts_add_no_empty_lines() -> None:
    turns = [{"role": "system", "content": ""}, {"role": "user", "content": "A"}, {"role": "user", "content": ""}]
    assert with_system_folded(turns) == turns[1:]
    assert with_neighbours_joined(turns)[1:] == [{"role": "user", "content": "A"}]


def test_a_system_turn_after_the_last_question_stays() -> None:
    turns = [{"role": "user", "content": "A"}, {"role": "system", "content": "B"}]
    assert with_system_folded(turns) == turns
