"""The order of a diverse set: its first samples cover the clusters, and no text is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.assembly.order import diverse_order

TOPICS = (
    "how do I bake bread with a sourdough starter",
    "prove that the root of two is irrational",
    "write a loop in C",
)


def test_the_first_samples_cover_the_clusters() -> None:
    texts = [f"{TOPICS[n % 3 if n < 6 else 0]}, number {n}" for n in range(30)]  # nearly all of the first topic
    order = diverse_order(texts)
    assert sorted(order) == list(range(30))
    assert {texts[i].partition(",")[0] for i in order[:3]} == set(TOPICS)
    assert diverse_order(texts) == order


@given(st.lists(st.text(max_size=30), max_size=12))
def test_any_texts_are_ordered_whole(texts: list[str]) -> None:
    assert sorted(diverse_order(texts)) == list(range(len(texts)))
