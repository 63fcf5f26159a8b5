"""The hash of a long list is the hash of the list, and takes no memory for the list."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.hashing import LongList, digest, sorted_by_digest

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


def test_a_hash_never_changes() -> None:
    """Stored signatures are compared with it."""
    assert digest("a", 1, [None, {"b": 2.5, "a": "é"}]) == "1a4c2a29847d6efb"
    assert digest([["s1", None]], length=12) == "4794140b7f93"


@settings(deadline=None)
@given(st.lists(JSON, max_size=8), st.lists(JSON, max_size=4))
def test_a_long_list_hashes_like_the_list(items: list[Any], others: list[Any]) -> None:
    for batch in (1, 3, 512):
        long = LongList(lambda: iter(items), batch)
        assert digest(items) == digest(long)
        assert digest(others, [["x", items], items], "end") == digest(others, [["x", long], long], "end")


@settings(deadline=None)
@given(st.none() | st.integers() | st.tuples(st.integers(), st.text()), st.lists(st.text()))
def test_the_order_of_hashes_is_that_of_single_hashes(key: Any, values: list[str]) -> None:
    assert sorted_by_digest(key, values) == sorted(values, key=lambda value: digest(key, value))


@pytest.mark.parametrize("count", [2_000, 20_000])
def test_the_memory_for_a_long_list_does_not_depend_on_its_length(count: int) -> None:
    def items() -> Iterator[list[str]]:
        return ([f"{number:012x}", "an answer of some words " * 4] for number in range(count))

    tracemalloc.start()
    try:
        digest(LongList(items))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
