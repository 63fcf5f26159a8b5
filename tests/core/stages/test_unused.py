"""What a lower number or another source leaves unused is said before the work, kept, and used again later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.regenerating.candidate_requests import pending_candidates
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, Note
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.run_plan import effect_of, plan_of
from faq_tui.core.settings.load import load_settings
from faq_tui.core.stages import regenerate
from faq_tui.core.stages import seeds as stage
from faq_tui.core.stages.unused import UnusedCandidates, unused_candidates
from faq_tui.core.store import seeds, stages
from faq_tui.tui.settings.words import effect_in_words
from faq_tui.tui.stage_marks import plan_in_lines
from tests.support.pane_runs import answer

TOML = """\
[target]
model = "./target"
[seeds]
path = "q.txt"
count = {count}
heldout = 0
[sources.elder]
base_url = "http://127.0.0.1:9/v1"
model = "Big-8B"
candidates = {candidates}
sampling = {{ max_tokens = {most} }}
"""


def write(folder: Path, count: int = 4, candidates: int = 3, most: int = 100, toml: str = TOML) -> None:
    (folder / "faq.toml").write_text(toml.format(count=count, candidates=candidates, most=most))


def again(run: Run) -> Run:
    """The run with the settings that the file has now."""
    return replace(run, settings=load_settings(run.folder / "faq.toml"))


def read(run: Run) -> list[str]:
    """Run the stage seeds, and return its notes."""
    events: list[Event] = []
    signature = stage.signature(run)
    stages.begin(run.store, "seeds", signature, "job")
    stages.end(run.store, "seeds", "done", stage.execute(Context(run, events.append, CancelToken(), "job")))
    return [event.message for event in events if isinstance(event, Note)]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Three candidates of each of four seeds, of which the file has eight."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "config.json").write_text("{}")
    (tmp_path / "q.txt").write_text("".join(f"Why is number {n} odd?\n" for n in range(8)))
    write(tmp_path)
    with open_run(tmp_path) as opened:
        assert read(opened) == []
        for seed_id in seeds.ids_by_role(opened.store, "chosen"):
            for number in (1, 2, 3):
                answer(opened, seed_id, number)
        stages.begin(opened.store, "regenerate", regenerate.signature(opened), "job")
        stages.end(opened.store, "regenerate", "done", "")
        yield opened


def test_fewer_seeds_and_more_again(run: Run) -> None:
    assert not unused_candidates(run) and not plan_of(run).unused
    write(run.folder, count=2)
    fewer = again(run)
    lost = UnusedCandidates(undrawn=6, undrawn_seeds=2)
    assert unused_candidates(fewer) == plan_of(fewer).unused == effect_of(run, fewer.settings).unused == lost
    said = "6 candidates of 2 seeds that are not drawn any more"
    kept = "they stay in the database, and the old setting uses them again"
    assert f"Unused after saving: {said}; {kept}." in effect_in_words(effect_of(run, fewer.settings))
    assert f"The run will not use {said}; {kept}." in plan_in_lines(plan_of(fewer)).plain
    assert any(note.startswith(f"{said} will not be used") for note in read(fewer))
    assert not unused_candidates(fewer), "the draw is made, so nothing more is lost"
    write(run.folder, count=4)
    more = again(run)
    back = UnusedCandidates(returning=6)
    assert unused_candidates(more) == back and effect_of(fewer, more.settings).unused == back
    assert "Used again: 6 stored candidates." in effect_in_words(effect_of(fewer, more.settings))
    assert "uses 6 stored candidates again" in plan_in_lines(plan_of(more)).plain
    assert read(more) == []
    assert pending_candidates(more, more.settings.sources["elder"]) == [], "nothing is requested again"


def test_fewer_candidates_and_another_source(run: Run) -> None:
    write(run.folder, candidates=2)
    fewer = again(run)
    assert effect_of(run, fewer.settings).unused == plan_of(fewer).unused == UnusedCandidates(surplus=4)
    notes: list[Any] = []
    regenerate.execute(Context(fewer, notes.append, CancelToken(), "job"))
    assert any("4 candidates beyond the number of candidates in the settings" in str(note) for note in notes)
    assert effect_of(fewer, run.settings).unused == UnusedCandidates(returning=4)
    write(run.folder, most=50)
    other = again(run)
    assert effect_of(run, other.settings).unused == plan_of(other).unused == UnusedCandidates(earlier=12)
    write(run.folder, toml=TOML.replace("elder", "teacher").replace("Big", "Other"))
    gone = again(run)
    assert plan_of(gone).unused == UnusedCandidates(sourceless=12)
    write(run.folder, toml=TOML.replace("elder", "teacher"))
    assert not plan_of(again(run)).unused, "a renamed source keeps its candidates"


def test_a_file_with_other_seeds(run: Run) -> None:
    lines = (run.folder / "q.txt").read_text().splitlines()
    chosen = {seed.question for seed in seeds.by_role(run.store, "chosen")}
    gone = next(line for line in lines if line in chosen)
    (run.folder / "q.txt").write_text("".join(f"{line}\n" for line in lines if line != gone))
    assert plan_of(run).unused == UnusedCandidates(undrawn=3, undrawn_seeds=1)
    (run.folder / "q.txt").unlink()
    assert not unused_candidates(run), "seeds that cannot be read now are not counted as lost"


def test_an_excluded_seed_is_no_loss(run: Run) -> None:
    seeds.toggle_excluded(run.store, seeds.ids_by_role(run.store, "chosen")[0], "me")
    write(run.folder, count=3)
    assert unused_candidates(again(run)).undrawn <= 3
