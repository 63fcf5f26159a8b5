"""Seeds in the database: found by id, start and label; those that left the file keep their candidates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.store import Store, candidates, seeds
from tests.support.store_bench import candidate, opened, seed


def test_seeds_that_left_the_file_keep_their_candidates(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db", 2)
    candidates.add(store, candidate())
    seeds.replace_all(store, [seed(1)])
    assert seeds.ids(store) == [seed(1).id]
    assert candidates.current(store, "elder", "g1") == []
    seeds.replace_all(store, [seed(1), seed(0)])
    seeds.assign_roles(store, [seed(0).id], [seed(1).id])
    assert len(candidates.current(store, "elder", "g1")) == 1
    assert seeds.counts(store) == {"chosen": 1, "heldout": 1, "pool": 0}


def test_a_seed_is_found_by_id_start_and_label(tmp_path: Path) -> None:
    store = Store(tmp_path / "faq.db")
    seeds.replace_all(store, [replace(seed(n), label=f"label-{n}") for n in range(40)])
    assert seeds.find(store, seed(3).id) == seeds.find(store, seed(3).id[:8]) == seeds.find(store, "label-3")
    with pytest.raises(UsageError, match="no seed"):
        seeds.find(store, "label-99")
    with pytest.raises(UsageError, match="more than one"):
        seeds.find(store, "")
