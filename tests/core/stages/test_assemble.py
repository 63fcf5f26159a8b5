"""The stages seeds and assemble with `evaluate.repeats`: further draws beside the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.run.events import Note
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Evaluate
from faq_tui.core.stages import assemble, seeds
from faq_tui.core.store.sets import all_sets
from tests.core.assembly.test_build import COUNT, assembled, run, size, target  # noqa: F401  fixtures
from tests.support.seed_stage import Made

THREE = "[evaluate]\nrepeats = 3\n"


def lines_of(made: Run, name: str) -> list[dict[str, Any]]:
    text = (made.calibration / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_set_is_made_in_every_draw_and_still_compares(run: Run) -> None:  # noqa: F811
    """24 chosen seeds, fewer than `seeds.count`: each draw is half of them."""
    made, _, events = assembled(run, THREE)
    assert set(all_sets(made.store)) == set(made.settings.all_set_names())
    assert [event for event in events if isinstance(event, Note) and "drawn 3 times" in event.message]
    ids = []
    for suffix in ("", "-r2", "-r3"):
        baseline, elder = (lines_of(made, f"{name}{suffix}") for name in ("baseline", "elder"))
        assert {line["seed_id"] for line in baseline} == {line["seed_id"] for line in elder}
        assert len(baseline) == len(elder) == COUNT // 2
        twins = [size(lines_of(made, f"{name}-tokens{suffix}")) for name in ("baseline", "elder")]
        assert twins[0] == pytest.approx(twins[1], rel=0.02)
        ids.append(frozenset(str(line["seed_id"]) for line in elder))
    assert len(set(ids)) == 3
    assert assemble.intact(made)
    (made.calibration / "elder-r3.jsonl").unlink()
    assert not assemble.intact(made)


def test_without_repeats_nothing_changes_and_old_draws_are_swept(run: Run) -> None:  # noqa: F811
    _, before, _ = assembled(run, "")
    three, _, _ = assembled(run, THREE)
    signature = assemble.signature(three)
    made, after, _ = assembled(run, "")
    assert before == after and assemble.signature(made) != signature
    assert not list(made.calibration.glob("*-r[23].jsonl")) and "elder-r2" not in all_sets(made.store)


def test_the_seeds_stage_takes_seeds_for_every_draw(tmp_path: Path) -> None:
    chosen = []
    for repeats in (1, 3):
        made = Made(tmp_path / str(repeats), count=20, heldout=10)
        settings = made.run.settings.model_copy(update={"evaluate": Evaluate(repeats=repeats)})
        made.run = Run(made.run.folder, settings, made.run.store)
        signature = seeds.signature(made.run)
        made.go()
        chosen.append((made.ids("chosen"), made.ids("heldout"), signature))
    (once, heldout, signature), (thrice, heldout_too, other) = chosen
    assert len(once) == 20 and len(thrice) == 60 and set(once) < set(thrice)
    assert heldout == heldout_too and signature != other


def test_messages_name_the_draw(run: Run) -> None:  # noqa: F811
    _, _, events = assembled(run, "[sets.many]\ncount = 99\n" + THREE)
    warnings = [event.message for event in events if isinstance(event, Note) and "were requested" in event.message]
    assert warnings == [f"draw {n} of 3: set many has 12 samples, but 99 were requested" for n in (1, 2, 3)]
    with pytest.raises(FaqError, match=r"^draw 1 of 3: set short has no sample"):
        assembled(run, "[sets.short]\ntokens_per_sample = 16\nfrom = 'elder'\n" + THREE)
