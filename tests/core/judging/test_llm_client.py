"""Two orders of the answers, in which each comes first as often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.judging.llm_client import orders


@given(st.integers(2, 9), st.text(max_size=5))
def test_orders_are_two_permutations_without_a_shared_place(count: int, key: str) -> None:
    first, second = orders(count, key)
    assert sorted(first) == sorted(second) == list(range(count))
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert orders(count, key) == (first, second)


def test_every_answer_comes_first_as_often() -> None:
    firsts = [order[0] for key in range(600) for order in orders(3, str(key))]
    assert all(330 < firsts.count(index) < 470 for index in range(3))
