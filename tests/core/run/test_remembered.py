"""Remembered values are equal to computed ones after any change of the database, by faq-tui or another program."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faq_tui.core.overrides import give_back, pick, reject
from faq_tui.core.run.remembered import FILE, remembered
from faq_tui.core.run.run import Run, open_run, open_to_look
from faq_tui.core.stages.assemble import signature as of_assemble
from faq_tui.core.stages.judge import signature as of_judge
from faq_tui.core.status import status_of
from faq_tui.core.store import candidates, picks, seeds
from faq_tui.core.store.picks import ScoreRow
from tests.support.judged_run import make_judged_run

KINDS = ("exclude", "pick", "reject", "give back", "candidate", "score", "role", "answer", "forget", "nothing")
CHANGES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(1, 3)), max_size=8)


def facts(run: Run) -> dict[str, Any]:
    return {**status_of(run), "assemble": of_assemble(run), "judge": of_judge(run)}


def change(run: Run, kind: str, place: int, number: int) -> None:
    chosen = seeds.ids_by_role(run.store, "chosen") or seeds.ids(run.store)
    seed_id, source = chosen[place % len(chosen)], list(run.settings.sources)[place % len(run.settings.sources)]
    made = run.store.db.execute("SELECT max(id) FROM candidates").fetchone()[0]
    match kind:
        case "exclude":
            seeds.toggle_excluded(run.store, seed_id, "me")
        case "pick":
            pick(run, seed_id, source, number, "")
        case "reject":
            reject(run, seed_id, source, "")
        case "give back":
            give_back(run, seed_id, source, "")
        case "candidate" if made is not None:
            stored = candidates.get(run.store, made)
            assert stored is not None
            candidates.replace_worse(run.store, replace(stored, flags=("empty",) if number == 1 else ()))
        case "score" if made is not None:
            judge = status_of(run)["judging"]["judge"]
            picks.add_score(run.store, ScoreRow(made, judge, "llm", float(place), "", {"n": place}), replace=True)
        case _:
            another_program(run, kind, seed_id)


def another_program(run: Run, kind: str, seed_id: str) -> None:
    texts = {
        "role": "UPDATE seeds SET role = 'pool' WHERE id = ?",
        "answer": "UPDATE seeds SET answer = answer || '.' WHERE id = ?",
        "forget": "DELETE FROM scores WHERE candidate_id IN (SELECT id FROM candidates WHERE seed_id = ?)",
    }
    if kind in texts:
        with closing(sqlite3.connect(run.store.path, isolation_level=None)) as db:
            db.execute(texts[kind], (seed_id,))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_judged_run(tmp_path_factory.mktemp("remembered") / "run")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_remembered_facts_equal_computed_ones_after_any_change(
    original: Path, tmp_path: Path, made: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    with open_run(folder) as run:
        facts(run)
        for one in made:
            try:
                change(run, *one)
            except Exception as error:  # noqa: BLE001  for example, a pick of a candidate that has a flag
                assert "Error" in type(error).__name__
            known = facts(run)
            (run.cache / FILE).unlink()
            assert facts(run) == known


def test_a_command_that_only_looks_uses_what_another_one_kept(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "run"))
    with open_run(folder) as run:
        first = remembered(run, "n", ("seeds",), 1, lambda: 5)
    with open_to_look(folder) as run:
        assert remembered(run, "n", ("seeds",), 1, lambda: pytest.fail("computed again")) == first
        assert remembered(run, "n", ("seeds",), 2, lambda: 6) == 6, "other inputs"


def test_a_value_is_not_kept_if_the_table_changes_during_the_computation(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "run"))
    with open_run(folder) as run:
        seed_id = seeds.ids(run.store)[0]

        def compute() -> int:
            seeds.toggle_excluded(run.store, seed_id, "me")
            return 5

        assert remembered(run, "n", ("seeds",), 1, compute) == 5
        assert remembered(run, "n", ("seeds",), 1, lambda: 6) == 6


def test_a_run_without_tokens_is_computed_each_time(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "run"))
    with open_run(folder) as run:
        known = facts(run)
        triggers = run.store.db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            run.store.db.execute(f"DROP TRIGGER {name}")
        run.store.db.execute("DROP TABLE changes")
    shutil.rmtree(folder / ".cache")
    with open_to_look(folder) as run:
        assert facts(run) == known
    assert not (folder / ".cache" / FILE).exists()
