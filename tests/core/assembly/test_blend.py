"""Prose has its share of a set's tokens, at every size, and in every beginning of the set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from faq_tui.core.assembly.blend import Blend, interleaved
from faq_tui.core.assembly.sample import MIN_TOKENS, Sample
from faq_tui.core.base.errors import FaqError

LENGTHS = st.lists(st.integers(MIN_TOKENS, 200), min_size=1, max_size=30)


def sample(n_tokens: int, number: int, way: str = "template") -> Sample:
    return Sample(f"{way}{number}", None, way, "x", tuple(range(n_tokens)), n_tokens, n_tokens, None, way=way)


def blend(share: float, longest: int, rows: int | None = None) -> Blend:
    def made() -> Iterator[Sample]:
        return (sample(longest, n, "prose") for n in (count() if rows is None else range(rows)))

    return Blend("mixed", share, longest, made, str, "text.txt")


def total(samples: list[Sample]) -> int:
    return sum(one.n_tokens for one in samples)


@settings(deadline=None)
@given(LENGTHS, st.floats(0.05, 0.9), st.integers(32, 256))
def test_the_share_of_tokens_is_exact(lengths: list[int], share: float, longest: int) -> None:
    conversations = [sample(length, n) for n, length in enumerate(lengths)]
    made = blend(share, longest)
    prose = made.first(made.beside(total(conversations)))
    assert total(prose) == made.beside(total(conversations))
    assert all(MIN_TOKENS <= row.n_tokens <= longest and row.n_tokens == row.n_tokens_full for row in prose)
    assume(total(prose) > MIN_TOKENS)
    assert abs(total(prose) - share * (total(prose) + total(conversations))) <= 1


@settings(deadline=None)
@given(LENGTHS, st.floats(0.05, 0.9), st.integers(32, 256), st.integers(2, 30))
def test_as_many_conversations_as_fit_beside_their_prose(
    lengths: list[int], share: float, longest: int, samples: int
) -> None:
    conversations = [sample(length, n) for n, length in enumerate(lengths)]
    made = blend(share, longest)
    number = made.fitting(conversations, samples)

    def size(n: int) -> int:
        return n + math.ceil(made.beside(total(conversations[:n])) / longest)

    assert 1 <= number <= len(conversations)
    assert size(number) <= samples or number == 1
    assert number == len(conversations) or size(number + 1) > samples


@settings(deadline=None)
@given(LENGTHS, LENGTHS)
def test_every_beginning_has_about_the_share(conversations: list[int], prose: list[int]) -> None:
    ours = [sample(length, n) for n, length in enumerate(conversations)]
    theirs = [sample(length, n, "prose") for n, length in enumerate(prose)]
    mixed = interleaved(ours, theirs)
    assert [one for one in mixed if one.way != "prose"] == ours and [
        one for one in mixed if one.way == "prose"
    ] == theirs
    share = total(theirs) / total(mixed)
    for end in range(len(mixed)):
        found = total([one for one in mixed[:end] if one.way == "prose"])
        assert abs(found - share * total(mixed[:end])) <= max(conversations) + max(prose)


def test_a_file_that_is_too_short_is_named() -> None:
    with pytest.raises(FaqError, match=r"set mixed needs 700 tokens of prose, but text.txt gives only 640"):
        blend(0.5, 64, rows=10).first(700)
    with pytest.raises(FaqError, match=r"set mixed needs 12 rows of prose, but text.txt has only 10"):
        blend(1.0, 64, rows=10).even(12, None)
    assert total(blend(0.5, 64, rows=10).first(640)) == 640
