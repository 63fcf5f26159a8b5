"""How the shell itself looks. The panes have snapshots of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from faq_tui.core.jobs import State
from faq_tui.core.run.events import Preparing, StageProgress, StageStarted
from faq_tui.tui.app import FaqApp
from faq_tui.tui.jobs_line import describe, kept_in_words
from faq_tui.tui.panes import PANES
from faq_tui.tui.registry import registry
from faq_tui.tui.screens.help import HelpScreen
from faq_tui.tui.screens.quit import quit_screen
from faq_tui.tui.session import Session
from tests.support.app_host import app_on, text_of, until

SIZES = [(80, 24), (120, 36), (200, 60)]
Snap = Callable[..., bool]


async def settled(pilot: Pilot[None]) -> None:
    """What threads find out has been found out, and is on the screen."""
    app = pilot.app
    assert isinstance(app, FaqApp)
    await until(pilot, lambda: "Nothing is running" in text_of(app) and "GPU" in text_of(app).replace("H100", "GPU"))
    await until(pilot, lambda: "r Run" in text_of(app).splitlines()[-1])
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_the_question_at_the_end(folder: Path, snap_compare: Snap, size: tuple[int, int]) -> None:
    async def ask(pilot: Pilot[None]) -> None:
        await settled(pilot)
        pilot.app.push_screen(quit_screen("quantize"))
        await pilot.pause()
        for widget in pilot.app.screen_stack[0].query("ContentSwitcher"):
            widget.styles.visibility = "hidden"

    assert snap_compare(app_on(folder), terminal_size=size, run_before=ask)


@pytest.mark.parametrize("size", SIZES)
def test_the_help(folder: Path, snap_compare: Snap, size: tuple[int, int]) -> None:
    async def ask(pilot: Pilot[None]) -> None:
        await settled(pilot)
        pilot.app.push_screen(HelpScreen("judge", registry(), PANES, {}, "~/.config/faq-tui/config.toml"))
        await pilot.pause()

    assert snap_compare(app_on(folder), terminal_size=size, run_before=ask)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (200, f"regenerate  {'━' * 15}{'─' * 15}  60 of 120 candidates · 1:00 left · 1 a second · 1234 tokens"),
        (78, f"regenerate  {'━' * 9}╸{'─' * 9}  60 of 120 candidates · 1:00 left · 1 a second"),
        (60, f"regenerate  {'━' * 7}{'─' * 7}  60 of 120 candidates · 1:00 left"),
        (30, "regenerate  60 of 120 candida…"),
    ],
)
def test_the_line_of_jobs_fits(width: int, line: str) -> None:
    session = Session(Path("nowhere"), print)
    session.phase = "running"
    session.live.apply(StageStarted("regenerate", 120, "candidates"), 100.0)
    session.live.apply(StageProgress("regenerate", 1, 120, "20 tokens"), 101.0)
    session.live.apply(StageProgress("regenerate", 60, 120, "1234 tokens"), 160.0)
    assert describe(session, 160.0, ("r", "x"), width).plain == line


@pytest.mark.parametrize(
    ("done", "words"),
    [(0, "No artefact is finished"), (1, "1 finished artefact is kept"), (3, "3 finished artefacts are kept")],
)
@pytest.mark.parametrize("outcome", ["stopped", "killed"])
def test_a_job_that_ends_in_an_artefact_promises_only_what_is_kept(outcome: State, done: int, words: str) -> None:
    """A stopped artefact starts over, or from a checkpoint, so "finished work is kept" would be wrong."""
    session = Session(Path("nowhere"), print)
    session.live.apply(StageStarted("quantize", 4, "artefacts"), 1.0)
    session.live.apply(StageProgress("quantize", done, 4), 2.0)
    stage = session.live.stage
    session.phase, session.outcome = "idle", outcome
    line = describe(session, 2.0, ("r", "x"), 200).plain
    assert line.endswith(f"{words}; r resumes it.") and "Finished work" not in line
    assert kept_in_words(stage) == words
    screen = quit_screen("quantize", kept_in_words(stage))
    assert any(words in answer.text for answer in screen._answers)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (140, f"quantize  downloading big/model  {'━' * 15}{'─' * 15}  8.2 of 16.4 GB · 1:22 left · 100 MB/s"),
        (70, f"quantize  downloading big/model  {'━' * 4}╸{'─' * 4}  8.2 of 16.4 GB · 1:22 left"),
        (50, "quantize  downloading big/model  8.2 of 16.4 GB"),
    ],
)
def test_the_line_of_jobs_shows_a_download(width: int, line: str) -> None:
    session = Session(Path("nowhere"), print)
    session.phase = "running"
    live = session.live
    live.apply(StageStarted("quantize", 2, "artefacts"), 100.0)
    live.apply(StageProgress("quantize", 0, 2, "gptq-w4g64-self"), 100.0)
    for done, at in ((0, 118.0), (8_200_000_000, 200.0)):
        live.apply(Preparing("downloading big/model", done, 16_400_000_000, "bytes", ended=False), at)
    assert describe(session, 200.0, ("r", "x"), width).plain.rstrip() == line
    live.apply(Preparing("converting \x1b[2Jweights", 0, None, "", ended=False), 201.0)
    shown = describe(session, 213.0, ("r", "x"), 120).plain
    assert shown.startswith("quantize  converting ") and shown.endswith("weights  0:12") and "\x1b" not in shown
    live.apply(Preparing("converting \x1b[2Jweights", 0, None, "", ended=True), 214.0)
    assert "downloading" in describe(session, 214.0, ("r", "x"), 120).plain, "the outer step goes on"
    live.apply(Preparing("downloading big/model", 16_400_000_000, 16_400_000_000, "bytes", ended=True), 300.0)
    assert "0 of 2 artefacts" in describe(session, 300.0, ("r", "x"), 120).plain


def test_the_line_of_jobs_shows_the_writing_of_answers() -> None:
    session = Session(Path("nowhere"), print)
    session.phase = "running"
    session.live.apply(StageStarted("evaluate", 41_328, "tokens"), 100.0)
    for done, at in ((0, 118.0), (1_024, 150.0)):
        session.live.apply(Preparing("writing the held-out answers", done, 4_096, "tokens", ended=False), at)
    line = describe(session, 150.0, ("r", "x"), 120).plain.rstrip()
    assert line.startswith("evaluate  writing the held-out answers  ━━━")
    assert line.endswith("1,024 of 4,096 tokens · 1:36 left · 32 a second")


def test_text_of_a_failure_is_only_text() -> None:
    from faq_tui.core.run.events import StageFailed

    session = Session(Path("nowhere"), print)
    session.phase, session.outcome = "idle", "failed"
    session.live.apply(
        StageFailed("judge\x1b[2J", "[red]no[/] \x1b]52;c;RVZJTA==\x07 \u202e" + "x" * 1_000_000, 1), 1.0
    )
    line = describe(session, 2.0, ("r", "x"), 80)
    assert line.cell_len <= 80 and "[red]no[/]" in line.plain
    assert not set("\x1b\x07\u202e") & set(line.plain)
