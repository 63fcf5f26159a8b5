"""A run made by commit 0ebf15d is opened by this code: no stage is stale, and repeated stages give equal results.

`fixtures/run-0ebf15d` holds the files that commit 0ebf15d wrote. If a test here fails, finished runs of users become
stale, or the same settings give other calibration data or another report.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core import overrides
from faq_tui.core.judging.identity import current_picks
from faq_tui.core.run.run import open_run
from faq_tui.core.settings.evaluate import as_before
from faq_tui.core.source_views import views_of
from faq_tui.core.stages import assemble
from faq_tui.core.stages.pipeline import all_stages, is_current
from faq_tui.core.store import candidates, stages
from faq_tui.core.store.judged import standings
from tests.support.run_of_0ebf15d import STATUS, STORED, copy_of_stored
from tests.support.shell import faq_tui

STAGES = ("seeds", "regenerate", "judge", "assemble", "activations", "quantize", "evaluate", "report")

# All that may differ in a report.json made anew.
MAY_DIFFER = ("faq_tui", "cost", "closest", "not_yet")  # the version that wrote it, and keys that it did not have


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the run under another path than the one it was made at."""
    return copy_of_stored(tmp_path / "moved")


def without_sentences(value: Any) -> Any:
    """The same JSON with an empty string for each text of more than three words: sentences may be reworded.

    Numbers have ten digits, because the last digits depend on the processor.
    """
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: without_sentences(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_sentences(inner) for inner in value]
    return "" if isinstance(value, str) and len(value.split()) > 3 else value


def status_of(run: Path) -> dict[str, Any]:
    result = faq_tui("status", run, "--json")
    assert result.code == 0, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


def states(run: Path) -> dict[str, str]:
    return {stage["stage"]: stage["state"] for stage in status_of(run)["stages"]}


def ended(*arguments: str | Path) -> list[dict[str, Any]]:
    """The events of a `run` that must end well."""
    result = faq_tui("run", *arguments, "--json")
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


Row = dict[str, Any]


def rows_of(path: Path) -> dict[str, list[Row]]:
    """Every row of every table of the database."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        tables = [name for (name,) in db.execute(named)]
        return {table: [dict(row) for row in db.execute(f"SELECT * FROM {table}")] for table in tables}


def in_order(rows: list[Row], columns: list[str]) -> list[str]:
    """These columns of the rows, without regard to the order of rows and columns."""
    return sorted(repr([row[name] for name in columns]) for row in rows)


def dump_of(path: Path) -> list[str]:
    """Schema and rows as SQL, and the schema's version."""
    with closing(sqlite3.connect(path)) as db:
        return [*db.iterdump(), str(db.execute("PRAGMA user_version").fetchone())]


def test_status_is_as_it_was_and_nothing_is_stale(run: Path) -> None:
    status = status_of(run)
    assert {stage["stage"]: stage["state"] for stage in status["stages"]} == dict.fromkeys(STAGES, "done")
    stored = json.loads((STORED / STATUS).read_text(encoding="utf-8"))
    assert status.pop("run") == str(run)
    stored.pop("run")
    # keys that later versions added
    assert status.pop("waiting") == []
    assert {source.pop("saved_tokens") for source in status["sources"].values()} == {0}
    for source in stored["sources"].values():
        source["picked"] -= 1  # the pick of the excluded seed, which older versions counted
    assert status == stored


def test_running_it_again_does_nothing(run: Path) -> None:
    assert states(run) == dict.fromkeys(STAGES, "done")  # else quantizing would begin
    assert [(e["event"], e.get("stage")) for e in ended(run)] == [("StageSkipped", name) for name in STAGES]


def test_each_stage_would_be_stale_if_its_input_changed(run: Path) -> None:
    """The run can be told apart from a stale one: the tests above do not pass for want of a look."""
    (run / "target" / "generation_config.json").write_text("{}")
    assert states(run) == {**dict.fromkeys(STAGES, "stale"), "seeds": "done", "regenerate": "done"}
    with (run / "seeds.jsonl").open("a") as file:
        file.write('{"question": "What is new?"}\n')
    assert states(run) == dict.fromkeys(STAGES, "stale")


def test_a_seed_file_with_another_time_and_the_same_content_keeps_the_run(run: Path) -> None:
    """Copied to another machine, or from another installation of the package, files have other times."""
    for _ in range(2):
        (run / "seeds.jsonl").touch()
        assert states(run) == dict.fromkeys(STAGES, "done")
    before = rows_of(run / "faq.db")["stages"]
    assert [(e["event"], e.get("stage")) for e in ended(run)] == [("StageSkipped", name) for name in STAGES]
    after = rows_of(run / "faq.db")["stages"]
    changed = [row["stage"] for row, other in zip(before, after, strict=True) if row != other]
    assert changed == ["seeds", "assemble", "report"], "these stages are signed again, in the new way"
    (run / "seeds.jsonl").touch()
    assert states(run) == dict.fromkeys(STAGES, "done")
    seeds = run / "seeds.jsonl"
    text = seeds.read_text()
    seeds.write_text(text.replace("a", "b", 1))
    assert states(run)["seeds"] == "stale"
    seeds.write_text(text)
    assert states(run) == dict.fromkeys(STAGES, "done"), "the content is as before"


def test_other_settings_of_the_draw_are_stale_also_with_another_time(run: Path) -> None:
    (run / "seeds.jsonl").touch()
    toml = (run / "faq.toml").read_text()
    (run / "faq.toml").write_text(toml.replace("sample_seed = 3\n", "sample_seed = 5\n"))
    assert (run / "faq.toml").read_text() != toml
    assert states(run)["seeds"] == "stale"


def decided_by_the_judge(run: Path) -> list[tuple[str, str, int, int]]:
    """(seed, source, number of the judge's pick, number of another usable candidate)."""
    with open_run(run) as opened:
        found = []
        for view in views_of(opened):
            for one in standings(opened.store, view):
                of_seed = candidates.of_seed(opened.store, view.source, view.source_hash, one.seed_id)
                numbers = {c.id: c.number for c in of_seed if not c.flags}
                if one.override is None and one.judge_pick and len(numbers) > 1:
                    other = next(n for i, n in numbers.items() if i != one.judge_pick)
                    found.append((one.seed_id, view.source, numbers[one.judge_pick], other))
        return found


def test_agreement_with_the_judge_makes_nothing_stale_and_another_pick_does(run: Path) -> None:
    seed, source, judges, other = decided_by_the_judge(run)[0]
    assert faq_tui("pick", run, seed, f"{source}:{judges}").code == 0
    status = status_of(run)
    assert {stage["stage"]: stage["state"] for stage in status["stages"]} == dict.fromkeys(STAGES, "done")
    assert faq_tui("pick", run, seed, f"{source}:{other}").code == 0
    later = dict.fromkeys(STAGES[3:], "stale")
    assert states(run) == {**dict.fromkeys(STAGES, "done"), **later}
    assert faq_tui("pick", run, seed, f"{source}:judge").code == 0
    assert states(run) == dict.fromkeys(STAGES, "done"), "the judge's pick is used again"


@pytest.mark.parametrize("signed", ["by commit 0ebf15d", "by this code"])
def test_the_report_and_the_sets_depend_on_the_picked_candidates(run: Path, signed: str) -> None:
    seed, source, judges, other = decided_by_the_judge(run)[0]
    with open_run(run) as opened:
        chosen = [stage for stage in all_stages() if stage.name in ("assemble", "report")]
        if signed == "by this code":
            for stage in chosen:
                stages.sign_again(opened.store, stage.name, stage.signature(opened))
        for number, current in ((judges, True), (other, False), (judges, True), (0, False)):
            if number:
                overrides.pick(opened, seed, source, number, "")
            else:
                overrides.reject(opened, seed, source, "")
            assert [is_current(opened, stage) for stage in chosen] == [current] * 2, number


def test_agreement_before_the_set_was_made_is_signed_as_it_was(run: Path) -> None:
    """Earlier versions signed who had picked: a person who agreed then may take it back, and others may agree."""
    (seed, source, judges, other), (later, its_source, its_judges, _), *_ = decided_by_the_judge(run)
    with open_run(run) as opened:
        overrides.pick(opened, seed, source, judges, "")
        with opened.store.writing() as db:
            db.execute("UPDATE picks SET created = 1.0 WHERE id = (SELECT max(id) FROM picks)")
            db.execute("UPDATE stages SET started = started + 1 WHERE stage = 'assemble'")
        picked = {
            name: [(pick.seed_id, pick.candidate_id, pick.picked_by) for pick in current_picks(opened, name).values()]
            for name in opened.settings.sources
        }
        old = assemble.signature_in_one(opened, {name: partial(iter, found) for name, found in picked.items()})
        assert old not in (assemble.signature(opened), stages.all_rows(opened.store)["assemble"].signature)
        stages.sign_again(opened.store, "assemble", old)
        stage = next(stage for stage in all_stages() if stage.name == "assemble")
        assert is_current(opened, stage)
        overrides.pick(opened, later, its_source, its_judges, "")
        assert is_current(opened, stage)
        overrides.give_back(opened, seed, source, "")
        assert is_current(opened, stage)
        overrides.pick(opened, seed, source, other, "")
        assert not is_current(opened, stage)


def test_calibration_files_made_anew_are_the_same_bytes(run: Path) -> None:
    stored = {path.name: path.read_bytes() for path in (STORED / "calibration").iterdir()}
    shutil.rmtree(run / "calibration")
    events = ended(run, "--only", "assemble")
    assert "StageDone" in [event["event"] for event in events]
    made = {path.name: path.read_bytes() for path in (run / "calibration").iterdir()}
    assert made.keys() == stored.keys()
    assert [name for name in stored if made[name] != stored[name]] == []
    assert states(run) == dict.fromkeys(STAGES, "done")


def cut_to_possible_values(report: Row) -> None:
    """Cut the intervals over two draws, as since version 0.2.0. Older versions wrote shares above 1, too."""
    for comparison in report["comparisons"]:
        for outcomes in comparison["texts"].values():
            for metric, outcome in outcomes.items():
                if outcome["difference"]["low"] is not None and metric == "top1":
                    outcome["difference"]["low"] = max(outcome["difference"]["low"], -1.0)
                    outcome["difference"]["high"] = min(outcome["difference"]["high"], 1.0)
                if outcome["recovered"] is not None and metric in ("kl", "top1"):
                    outcome["recovered"]["high"] = min(outcome["recovered"]["high"], 1.0)


@pytest.mark.slow
def test_the_report_made_anew_differs_in_its_version_and_its_sentences_only(run: Path) -> None:
    shutil.rmtree(run / "reports", ignore_errors=True)
    (run / "reports").mkdir()
    shutil.copy(STORED / "reports" / "evaluation.json", run / "reports")
    events = ended(run, "--only", "report")
    assert "StageDone" in [event["event"] for event in events]
    stored, made = (
        json.loads((folder / "reports" / "report.json").read_text(encoding="utf-8")) for folder in (STORED, run)
    )
    for source in stored["run"]["sources"]:
        source["picked_by_judge"] -= 1  # the pick of the excluded seed, which older versions counted
        source["family"]["larger"] = True  # known by the weights of the target since version 0.2.0
    cut_to_possible_values(stored)
    stored, other = without_sentences(stored), without_sentences(made)
    other["run"]["evaluate"] = as_before(other["run"]["evaluate"])
    assert {name for name in stored.keys() | other.keys() if other.get(name) != stored.get(name)} <= {*MAY_DIFFER}
    assert json.loads(faq_tui("report", run, "--format", "json").out) == made
    assert states(run) == dict.fromkeys(STAGES, "done")


def test_the_database_migrates_once_and_keeps_every_row(run: Path) -> None:
    path, before = run / "faq.db", rows_of(STORED / "faq.db")
    first = status_of(run)
    after, dump = rows_of(path), dump_of(path)
    for table, rows in before.items():
        columns = sorted(rows[0]) if rows else []
        assert in_order(after[table], columns) == in_order(rows, columns), table
    assert status_of(run) == first
    assert dump_of(path) == dump


def test_the_stored_run_holds_something_of_everything() -> None:
    """So that no one makes the comparison easier by a poorer run."""
    rows = rows_of(STORED / "faq.db")
    assert {flag for row in rows["candidates"] for flag in json.loads(row["flags"])} == {
        "truncated", "loop", "refusal", "empty"
    }  # fmt: skip
    assert {row["kind"] for row in rows["scores"]} == {"llm", "likelihood", "activation", "mix"}
    assert any(row["score"] is None for row in rows["scores"])
    assert {(row["action"], row["picked_by"]) for row in rows["picks"]} == {
        (action, who)
        for action in ("pick", "reject", "clear")
        for who in ("judge", "person")
        if (action, who) != ("clear", "judge")
    }
    assert {row["action"] for row in rows["seed_edits"]} == {"exclude", "include", "tag"}
    assert {json.loads(row["recipe"])["method"] for row in rows["artefacts"]} == {
        "gptq", "spqr", "w8a8", "awq", "gptaq"
    }  # fmt: skip
    assert {row["name"].endswith("-r2") for row in rows["sets"]} == {True, False}
    assert any(row["same_as"] for row in rows["artefacts"])
    # Tables that a finished run leaves empty.
    assert {table for table, found in rows.items() if not found} == {"artefact_failures", "benchmark_problems"}
