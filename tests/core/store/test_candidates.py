"""Candidates in the database: unique keys, any text, each key once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.store import Store, candidates, picks, stages
from faq_tui.core.store.candidates import Tally, candidate_key
from tests.support.store_bench import ON_DISK, candidate, opened, seed

ANY_TEXT = st.text(st.characters(), max_size=20) | st.text("a\x00\ud800\udfffé😀", max_size=6)


def test_candidate_keys_are_unique_and_stable() -> None:
    # Fixed for good: another hash would ask for every candidate of every old run again.
    assert candidate_key("a" * 12, "b" * 16, 1) == "a52128fd050ba9f4"
    assert seed().id == "7040111f3c15"
    keys = {candidate_key(s, g, n) for s in ("s1", "s2", "s11") for g in ("g", "1g") for n in (1, 2, 11)}
    assert len(keys) == 18


def test_the_same_key_is_stored_once(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db")
    first = candidates.add(store, candidate(answer="first"))
    assert candidates.add(store, candidate(answer="second", source="renamed")) == first
    assert candidates.add(store, candidate(2)) != first
    found = candidates.current(store, "renamed", "g1")
    assert next((c.id, c.answer, c.source) for c in found) == (first, "first", "renamed")
    assert candidates.current(store, "elder", "g2") == []
    assert candidates.by_ids(store, [first, 999]) == {first: replace(candidate(answer="first"), id=first)}


@ON_DISK
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_survives(reasoning: str, answer: str, reason: str) -> None:
    with TemporaryDirectory() as folder:
        any_text_survives(Path(folder) / "faq.db", reasoning, answer, reason)


def any_text_survives(path: Path, reasoning: str, answer: str, reason: str) -> None:
    store = opened(path)
    row = candidates.add(store, candidate(reasoning=reasoning, answer=answer))
    picks.add_score(store, picks.ScoreRow(row, "j", "llm", 5.0, reason), reason)
    picks.add_picks(store, [(seed().id, "elder", "pick", row)], "person", reason, reason)
    stages.begin(store, "judge", "s", "j")
    stages.end(store, "judge", "failed", reason)
    store.close()
    store = Store(path)
    found = candidates.by_ids(store, [row])[row]
    assert (found.reasoning, found.answer) == (held(reasoning), held(answer))
    assert picks.overrides(store, "elder")[seed().id].reason == held(reason)
    assert stages.all_rows(store)["judge"].message == held(reason)
    store.close()


def held(text: str) -> str:
    """Pairs of surrogates are one character; lone ones become U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_a_lone_surrogate_becomes_one_replacement_character(tmp_path: Path) -> None:
    store = opened(tmp_path / "faq.db")
    row = candidates.add(store, candidate(answer="a\ud800b\x00c"))
    assert candidates.by_ids(store, [row])[row].answer == "a\ufffdb\x00c"


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        (Tally(), "0 tokens"),
        (Tally(2, completion_tokens=7, counted=2), "7 tokens"),
        (Tally(2, completion_tokens=7, counted=1), "7 tokens (known for 1 of 2 candidates)"),
        (Tally(2), "number of tokens unknown"),
    ],
)
def test_unknown_tokens_are_not_called_zero(tally: Tally, words: str) -> None:
    assert tally.tokens_in_words() == words
