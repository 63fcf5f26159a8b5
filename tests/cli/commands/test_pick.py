"""`faq-tui pick`: a person outweighs the judge, and a pick that cannot be is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.shell import faq_tui, refused, rows

pytest_plugins = ["tests.support.weightless_run"]


def pick(run: Path, *arguments: str) -> str:
    result = faq_tui("pick", run, *arguments)
    assert result.code == 0, result
    return result.out.strip()


def picked(run: Path, label: str) -> object:
    """(candidate number or None, by whom) of the sample in the set after assembling anew."""
    assert faq_tui("run", run, "--until", "assemble").code == 0
    ((seed_id,),) = rows(run, f"SELECT id FROM seeds WHERE label = '{label}'")
    lines = (run / "calibration" / "elder.jsonl").read_text().splitlines()
    samples = {row["seed_id"]: row for row in map(json.loads, lines)}
    if seed_id not in samples:
        return None
    sample = samples[seed_id]
    ((number,),) = rows(run, f"SELECT number FROM candidates WHERE id = {sample['candidate_id']}")
    return number, sample["picked_by"]


def test_a_person_outweighs_the_judge_until_they_give_it_back(run_folder: Path) -> None:
    assert picked(run_folder, "q1") == (2, "judge")
    ((seed_id,),) = rows(run_folder, "SELECT id FROM seeds WHERE label = 'q1'")
    assert pick(run_folder, "q1", "1", "--reason", "shorter") == f"{seed_id}: candidate 1 of elder is picked"
    assert picked(run_folder, "q1") == (1, "person")
    assert pick(run_folder, seed_id, "elder:0") == f"{seed_id}: rejected for elder"
    assert picked(run_folder, "q1") is None
    assert pick(run_folder, seed_id[:8], "judge") == f"{seed_id}: the judge's pick of elder is used again"
    assert picked(run_folder, "q1") == (2, "judge")
    by_person = rows(run_folder, "SELECT action, reason FROM picks WHERE picked_by = 'person' ORDER BY id")
    assert by_person == [("pick", "shorter"), ("reject", ""), ("clear", "")], "rows are only added"


@pytest.mark.parametrize(
    ("seed", "candidate", "said"),
    [
        ("q99", "1", "no seed 'q99' in this run"),
        ("", "1", "matches more than one seed"),
        ("q1", "4", "has no candidate 4 from elder; it has 1, 2, 3"),
        ("q1", "3", "is truncated: it cannot be assembled"),
        ("q1", "best", "candidate 'best': give a number (1, 2, 3"),
        ("q1", "²", "candidate '²': give a number (1, 2, 3"),
        ("q1", "teacher:1", "no source 'teacher'; the sources of this run are elder"),
    ],
)
def test_a_pick_that_cannot_be(run_folder: Path, seed: str, candidate: str, said: str) -> None:
    assert said in refused(ExitCode.USAGE, "pick", run_folder, seed, candidate)
    assert rows(run_folder, "SELECT count(*) FROM picks WHERE picked_by = 'person'") == [(0,)]


@pytest.mark.parametrize("candidate", ["9" * 5000, "elder:" + "9" * 5000, "9" * 20])
def test_a_candidate_number_of_many_digits_is_refused(run_folder: Path, candidate: str) -> None:
    message = refused(ExitCode.USAGE, "pick", run_folder, "q1", candidate)
    assert "give a number (1, 2, 3 …)" in message and len(message) < 300
