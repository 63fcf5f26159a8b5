"""Windows hold a held-out text once and in order; batches hold every item once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.evaluation.heldout import SHORT, Item, batches, rolling, shared_rows, windows


@given(st.integers(0, 60).map(lambda n: list(range(n))), st.integers(8, 20), st.sampled_from([None, 7]))
def test_windows_hold_the_text_once_and_in_order(ids: list[int], size: int, bos: int | None) -> None:
    found = windows(ids, size, bos)
    head = 0 if bos is None else 1
    told = [token for item in found for token in item.ids[head:]]
    assert told == ids[: len(told)] and len(ids) - len(told) <= (1 if bos is None else 0)
    assert all(item.first == 1 and 2 <= len(item.ids) <= size for item in found)
    assert all(len(item.ids) == size for item in found[:-1])
    assert bos is None or all(item.ids[0] == bos for item in found)


@given(st.lists(st.integers(2, 30), max_size=20), st.integers(1, 6))
def test_batches_hold_every_item_once(lengths: list[int], size: int) -> None:
    items = [Item(tuple(range(length)), 1) for length in lengths]
    found = list(batches(items, size))
    assert sorted(index for batch in found for index in batch) == list(range(len(items)))
    for batch in found:
        longest = max(len(items[index].ids) for index in batch)
        assert 1 <= len(batch) <= max(size, size * SHORT // longest)
    padded = [len(batch) * max(len(items[index].ids) for index in batch) for batch in found]
    assert padded == sorted(padded, reverse=True), "the largest batch comes first"


def test_items_of_very_different_lengths_are_not_padded_to_the_longest() -> None:
    items = [Item(tuple(range(length)), 1) for length in (198, 20, 300, 19, 280, 200)]
    lengths = [[len(items[index].ids) for index in batch] for batch in batches(items, 4)]
    assert lengths == [[300, 280], [200, 198], [20, 19]]


@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=6), max_size=25))
def test_an_item_is_not_processed_if_a_longer_one_starts_with_it(rows: list[list[int]]) -> None:
    items = [Item(tuple(row), 1) for row in rows]
    found = shared_rows(items)
    assert sorted(index for shared in found.values() for index in shared) == list(range(len(items)))
    read = [item.ids[:-1] for item in items]
    for host, shared in found.items():
        assert shared[0] == host
        assert all(read[host][: len(read[index])] == read[index] for index in shared)
    hosts = [read[host] for host in found]
    assert not any(
        one[: len(other)] == other for n, one in enumerate(hosts) for m, other in enumerate(hosts) if n != m
    ), "no host starts with another one"


def test_rolling_windows_predict_every_token_once() -> None:
    for length in range(1, 30):
        ids = list(range(100, 100 + length))
        items = rolling(ids, 7, 5)
        assert [token for item in items for token in item.ids[item.first :]] == ids
        assert all(len(item.ids) <= 8 and item.first >= 1 for item in items) and items[0].ids[0] == 5
