"""Which seeds are regenerated, which are held out; and the starter seeds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import UsageError
from faq_tui.core.run.events import Note
from faq_tui.core.settings import Seeds
from faq_tui.core.stages import seeds as stage
from faq_tui.core.store import seeds as rows
from tests.support.schemas import valid
from tests.support.seed_stage import PER_EXAMPLE, Made
from tests.support.shell import faq_tui, make_run

# ---- the draw


def drawn(folder: Path, questions: list[str], **settings: Any) -> Made:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s.txt").write_text("\n".join(questions) + "\n")
    made = Made(folder, path="s.txt", **settings)
    made.go()
    return made


QUESTIONS = [f"question number {n}" for n in range(400)]


def test_the_same_seed_draws_the_same_whatever_the_order(tmp_path: Path) -> None:
    first = drawn(tmp_path / "a", QUESTIONS, count=100, heldout=20)
    again = drawn(tmp_path / "b", QUESTIONS[::-1], count=100, heldout=20)
    other = drawn(tmp_path / "c", QUESTIONS, count=100, heldout=20, sample_seed=1)
    for role in ("chosen", "heldout"):
        assert set(first.ids(role)) == set(again.ids(role))
        assert set(first.ids(role)) != set(other.ids(role))
    assert rows.counts(first.run.store) == {"chosen": 100, "heldout": 20, "pool": 280}


def test_more_seeds_in_the_file_change_the_draw_little(tmp_path: Path) -> None:
    before = drawn(tmp_path / "a", QUESTIONS, count=100, heldout=20)
    chosen, heldout = set(before.ids("chosen")), set(before.ids("heldout"))
    after = drawn(tmp_path / "a", [*QUESTIONS, *(f"new {n}" for n in range(40))], count=100, heldout=20)
    assert 80 <= len(chosen & set(after.ids("chosen"))) < 100
    assert 15 <= len(heldout & set(after.ids("heldout"))) <= 20
    more = drawn(tmp_path / "b", QUESTIONS, count=150, heldout=20)
    fewer = drawn(tmp_path / "c", QUESTIONS, count=100, heldout=20)
    assert set(fewer.ids("chosen")) < set(more.ids("chosen")) and fewer.ids("heldout") == more.ids("heldout")


@PER_EXAMPLE
@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 80), st.integers(0, 3))
def test_held_out_seeds_are_never_regenerated(total: int, count: int, heldout: int, key: int) -> None:
    with TemporaryDirectory() as folder:
        made = drawn(Path(folder), QUESTIONS[:total], count=count, heldout=heldout, sample_seed=key)
        chosen, kept, pool = (made.ids(role) for role in ("chosen", "heldout", "pool"))
        made.run.store.close()
    assert not set(chosen) & set(kept) and len({*chosen, *kept, *pool}) == total
    assert len(kept) == min(heldout, total // stage.HELDOUT_SHARE) and len(chosen) == min(count, total - len(kept))
    notes = [event for event in made.events if isinstance(event, Note)]
    assert bool(notes) == ((len(chosen), len(kept)) != (count, heldout))


def test_starter_seeds(tmp_path: Path) -> None:
    made = Made(tmp_path, count=200, heldout=32)
    made.go()
    seeds = made.seeds()
    assert len(seeds) == 256 and made.problems() == {}
    by_category = Counter(seed.category for seed in seeds)
    assert set(by_category) == {"general", "reasoning", "math", "code", "multilingual", "writing"}
    assert min(by_category.values()) >= 20
    assert len({seed.question for seed in seeds}) == len({seed.label for seed in seeds}) == 256
    assert all(20 <= len(seed.question) <= 4000 for seed in seeds if seed.category != "multilingual")
    drawn_categories = {seed.category for seed in rows.by_role(made.run.store, "heldout")}
    assert len(drawn_categories) >= 4


# ---- rows that are no seeds, by reason

ROWS = """{"question": "one"}
{"question": "one"}

{"question": "Who?", "image": "a.png"}
{"messages": [{"role": "tool", "content": "1"}]}
{"title": "none"}
{"question":
{"messages": [{"role": "user", "content": "<audio>"}]}
{"question": "two"}
"""
SKIPPED = {"duplicate": 1, "empty": 1, "image": 1, "tools": 1, "no question": 1, "broken": 1, "audio": 1}


def test_rows_that_are_no_seeds_are_counted_by_reason(tmp_path: Path) -> None:
    run = make_run(tmp_path, seeds="s.jsonl")
    (run / "s.jsonl").write_text(ROWS)
    told = faq_tui("run", run, "--only", "seeds").err
    assert "(1 duplicate, 1 empty, 1 image, 1 tools, 2 broken, 1 audio skipped)" in " ".join(told.split())
    status = json.loads(faq_tui("status", run, "--json").out)
    valid("status", status)
    assert status["seeds"]["skipped"] == SKIPPED
    (run / "s.jsonl").write_text('{"question": "one"}\n{"question": "two"}\n')
    faq_tui("run", run, "--only", "seeds")
    assert "skipped" not in json.loads(faq_tui("status", run, "--json").out)["seeds"]


def test_rows_are_counted_also_where_none_is_a_seed(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"question": "Who?", "image": "a.png"}\n')
    made = Made(tmp_path, path="s.jsonl")
    with pytest.raises(UsageError, match=r"contains no usable seed \(1 image skipped\)"):
        made.go()
    assert rows.skips(made.run.store.db) == {"image": 1}


def test_keys_that_are_unset_change_no_signature(tmp_path: Path) -> None:
    known = {
        "path",
        "count",
        "heldout",
        "sample_seed",
        "shape",
        "prompt_field",
        "answer_field",
        "split",
        "on_problem",
    }
    assert set(Seeds(path="x").model_dump()) == known
    assert set(Seeds(path="x", config="main", streaming=False).model_dump()) == {*known, "config", "streaming"}


def test_a_file_in_another_encoding_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "seeds.csv").write_bytes("question\nWas heißt naïv?\nUnd café?\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"set seeds.encoding, because 2 of them are not in UTF-8"):
        Made(tmp_path, path="seeds.csv").go()
