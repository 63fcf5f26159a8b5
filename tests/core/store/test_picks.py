"""Picks: the person's last word, else the judge's; rows are only added."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.store import candidates, picks
from tests.support.store_bench import ON_DISK, candidate, opened, seed

SEEDS, SOURCES, JUDGES = 2, ("elder", "own"), ("j1", "j2")
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["judge", "pick", "reject", "clear"]),
        st.integers(0, SEEDS - 1),
        st.sampled_from(SOURCES),
        st.sampled_from(JUDGES),
        st.none() | st.integers(1, 4),
    ),
    max_size=25,
)


@ON_DISK
@given(OPERATIONS)
def test_the_person_has_the_last_word_and_rows_are_only_added(operations: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        the_person_has_the_last_word(Path(folder) / "faq.db", operations)


def the_person_has_the_last_word(path: Path, operations: list[Any]) -> None:
    store = opened(path, SEEDS)
    rows = {n: candidates.add(store, candidate(n)) for n in (1, 2, 3)}
    old = rows[4] = candidates.add(store, replace(candidate(4), source_hash="before"))  # its pick counts no more
    judged: dict[Any, int | None] = {}
    said: dict[Any, int | None] = {}
    history: list[Any] = []
    for what, number, source, judge, chosen in operations:
        seed_id, picked = seed(number).id, rows.get(chosen)
        if what == "judge":
            action = "pick" if picked else "reject"
            picks.add_picks(store, [(seed_id, source, action, picked)], "judge", judge, "")
            judged[seed_id, source, judge] = picked
        else:
            picked = (picked or rows[1]) if what == "pick" else None
            picks.add_picks(store, [(seed_id, source, what, picked)], "person", "me", "")
            if what == "clear":
                said.pop((seed_id, source), None)
            else:
                said[seed_id, source] = picked
        now = [tuple(row) for row in store.db.execute("SELECT * FROM picks ORDER BY id")]
        assert now[: len(history)] == history and len(now) == len(history) + 1
        history = now
    for source in SOURCES:
        for judge in JUDGES:
            expected = {s: ("judge", c) for (s, o, j), c in judged.items() if (o, j) == (source, judge) and c != old}
            expected |= {s: ("person", c) for (s, o), c in said.items() if o == source and c != old}
            current = picks.current(store, source, judge, candidate().source_hash)
            assert {s: (p.picked_by, p.candidate_id) for s, p in current.items()} == expected
    store.close()
