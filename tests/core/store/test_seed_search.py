"""A search with the index of texts finds exactly what a search without it finds."""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import Stopped
from faq_tui.core.store import Store, seed_pages, seed_search, seeds
from faq_tui.core.store.database import MEMORY
from faq_tui.core.store.seed_pages import SeedFilter, View
from faq_tui.core.store.seeds import Seed
from tests.support.store_bench import ON_DISK

LETTERS = st.text(st.sampled_from('abAB"\\%_!\n é漢字İ'), max_size=12)


def opened(*texts: str, answers: bool = True) -> Store:
    """Seeds of these texts; every other text is also the answer or the label of the seed before it."""
    store = Store(Path(MEMORY))
    made = [
        Seed(
            ({"role": "system", "content": "be kind"}, {"role": "user", "content": f"{number} {text}"}),
            texts[number - 1] if answers and number % 2 else None,
            f"f:{number}",
            texts[number - 1] if answers and number % 3 == 0 and number else None,
        )
        for number, text in enumerate(texts)
    ]
    seeds.replace_all(store, made)
    return store


def found(store: Store, text: str) -> list[int]:
    return list(chain.from_iterable(seed_pages.matches(store.db, View(), SeedFilter(text=text))))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_search, "FROM_SEEDS", 1)


@ON_DISK
@given(st.lists(LETTERS, min_size=1, max_size=8), st.data())
def test_the_index_changes_no_result(texts: list[str], data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(texts))
    start = data.draw(st.integers(0, len(at)))
    searched = data.draw(st.sampled_from([at[start:], at[start:].swapcase(), "be kind", "kind\n1"]) | LETTERS)
    with closing(opened(*texts)) as store:
        before = found(store, searched)
        assert seed_search.build(store)
        # without the index, a backslash also matches the escapes of the stored JSON
        assert found(store, searched) == before or "\\" in searched


def test_a_rare_word_is_found_without_reading_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(*(["a common word"] * 40), "one xylograph", *(["a common word"] * 40), answers=False)
    assert seed_search.positions(store.db, "xylograph") is None  # there is no index yet
    assert seed_search.build(store)
    assert seed_search.positions(store.db, "XYLOgraph") == [40]
    read: list[str] = []
    store.db.set_trace_callback(read.append)
    assert found(store, "xylograph") == [40]
    assert not any("from_position" in query for query in read)
    monkeypatch.setattr(seed_search, "MOST_POSITIONS", 20)
    assert seed_search.positions(store.db, "common") is None and len(found(store, "common")) == 80
    assert seed_search.positions(store.db, "xy") is None and found(store, "xy") == [40]
    start = store.db.execute("SELECT id FROM seeds WHERE position = 7").fetchone()[0]
    assert 7 in found(store, start[:6])


def test_the_index_is_forgotten_with_the_seeds_and_made_again() -> None:
    store = opened("one xylograph")
    seed_search.build(store)
    seeds.replace_all(store, [Seed(({"role": "user", "content": "a violin"},), None, "f:0")])
    assert seed_search.positions(store.db, "violin") is None and found(store, "violin") == [0]
    seed_search.build(store)
    assert seed_search.positions(store.db, "violin") == [0] and seed_search.positions(store.db, "xylograph") == []


def test_a_stopped_build_leaves_no_index() -> None:
    def stop() -> None:
        raise Stopped("stopped")

    store = opened("one xylograph")
    with pytest.raises(Stopped):
        seed_search.build(store, stop)
    assert seed_search.positions(store.db, "xylograph") is None and found(store, "xylograph") == [0]


def test_without_fts5_all_seeds_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened("one xylograph")
    seed_search.build(store)
    monkeypatch.setattr(seed_search, "_TABLE", "CREATE VIRTUAL TABLE seed_search USING nosuch")
    assert not seed_search.build(store)
    assert found(store, "xylograph") == [0]


def test_few_seeds_get_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_search, "FROM_SEEDS", 3)
    store = opened("one", "two", answers=False)
    assert not seed_search.build(store) and found(store, "one") == [0]
