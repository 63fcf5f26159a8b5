"""Marks of the stages on the tabs, and sentences about what is out of date."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.run.events import StageStarted
from faq_tui.tui.jobs_line import describe
from faq_tui.tui.session import Session
from faq_tui.tui.stage_marks import marks_of_panes, plan_in_lines, stale_in_words, strip
from tests.support.plans import STALE, made_up_plan


def test_marks_of_the_panes() -> None:
    marks = marks_of_panes(made_up_plan("done", "running", "stale", "done", "missing", "failed", "stopped"))
    assert {scope: sign for scope, (sign, _) in marks.items()} == {
        "seeds": "✓", "regenerate": "●", "judge": "!", "spikes": " ", "quantize": "✗", "evidence": "…"
    }  # fmt: skip


def test_what_is_out_of_date_is_one_sentence() -> None:
    words = stale_in_words(STALE, "r", 100)
    assert words is not None
    assert words.plain == "3 picks changed: assemble to report are out of date. r redoes about 5:00 of work."
    words = stale_in_words(STALE, "r", 78)
    assert words is not None
    assert words.plain == "3 picks changed: 5 stages are out of date. r redoes about 5:00 of work."
    one = made_up_plan(*["done"] * 7, "stale", seconds=None, changed=1)
    words = stale_in_words(one, "r", 100)
    assert words is not None and words.plain == "1 pick changed: report is out of date. r shows the plan."
    assert stale_in_words(made_up_plan("done"), "r", 100) is None


def test_the_line_of_jobs_has_the_stages_where_there_is_room() -> None:
    session = Session(Path("nowhere"), print)
    session.phase = "idle"
    narrow, wide = (describe(session, 0.0, ("r", "x"), width, STALE).plain for width in (80, 200))
    assert narrow == "3 picks changed: 5 stages are out of date. r redoes about 5:00 of work."
    assert wide.endswith(strip(STALE).plain) and len(wide) == 200
    assert strip(STALE).plain.startswith("✓ seeds  ✓ regenerate  ✓ judge  ! assemble")


def test_the_line_of_a_running_stage_has_its_place() -> None:
    session = Session(Path("nowhere"), print)
    session.phase = "running"
    session.live.apply(StageStarted("quantize", None, "models"), 0.0)
    assert describe(session, 0.0, ("r", "x"), 80, STALE).plain.startswith("6/8 quantize")


def test_the_lines_of_the_plan() -> None:
    lines = plan_in_lines(made_up_plan("done", "stale", seconds=61.0)).plain.splitlines()
    assert lines[0] == "✓ seeds        done"
    assert lines[1] == "! regenerate   out of date, about 1:01"
    assert lines[2] == "  judge        to do, about 1:01"
