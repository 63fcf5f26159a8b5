"""Title and notices: what they say, and that no text of others gets out of its sequence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faq_tui.core.run.events import ArtefactStarted, LayerDone, StageDone, StageFailed, StageProgress, StageStarted
from faq_tui.tui import notices
from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.jobs_line import describe
from faq_tui.tui.session import Session
from tests.support.app_host import app_on, until
from tests.support.on_terminal import OnTerminal
from tests.support.shell import FAQ_TUI

HOSTILE = "a\x1b]2;EVIL\x07b\x9cc\x9b31m;d\n\u202ee\udc80" + "x" * 1000


def session_at(*events: object, phase: str = "running", outcome: str | None = None) -> Session:
    session = Session(Path("nowhere"), print)
    session.phase = phase
    for event in events:
        session.live.apply(event, 1.0)  # type: ignore[arg-type]
    session.outcome = outcome  # type: ignore[assignment]
    return session


def test_the_title_names_the_run_and_the_progress() -> None:
    assert notices.title_of("my-run", session_at(phase="idle")) == "faq-tui my-run"
    started = StageStarted("regenerate", 8, "candidates")
    assert notices.title_of("my-run", session_at(started)) == "faq-tui my-run: regenerate 0%"
    session = session_at(started, StageProgress("regenerate", 2, 8))
    assert notices.title_of("my-run", session) == "faq-tui my-run: regenerate 25%"
    assert notices.title_of("r", session_at(StageStarted("judge", None, "scores"))) == "faq-tui r: judge"
    ended = session_at(started, StageFailed("regenerate", "no", 1), phase="idle", outcome="failed")
    assert notices.title_of("r", ended) == "faq-tui r: failed"


def test_layers_of_an_artefact_count() -> None:
    session = session_at(StageStarted("quantize", 2, "artefacts"))
    session.live.apply(ArtefactStarted("a", 4, 1, 1), 1.0)
    session.live.apply(LayerDone("a", 0), 2.0)
    session.live.apply(LayerDone("a", 1), 2.0)
    assert notices.title_of("r", session) == "faq-tui r: quantize 25%"


def test_the_line_of_the_job_counts_the_layers_of_each_artefact_apart() -> None:
    session = session_at(StageStarted("quantize", 2, "artefacts"))
    for name in ("a", "b"):
        session.live.apply(ArtefactStarted(name, 4, 1, 1), 1.0)
    session.live.apply(LayerDone("a", 0), 2.0)
    line = describe(session, 3.0, ("r", "x"), 200).plain
    assert "1 of 4 layers, 0 of 4 layers" in line and "a, b, models 1 to 2 of 2" in line and "of 8" not in line


def test_what_the_end_of_a_job_says() -> None:
    done = session_at(StageStarted("report", 1, "x"), StageDone("report", 1.0, "2 better"), outcome="done")
    assert notices.end_in_words("r", done) == "r: finished"
    failed = session_at(StageStarted("judge", 1, "x"), StageFailed("judge", "no server", 1), outcome="failed")
    assert notices.end_in_words("r", failed) == "r: judge failed. no server"
    assert notices.end_in_words("r", session_at(outcome="stopped")) == "", "the person knows"


@pytest.mark.parametrize("environ", [{}, {"TMUX": "/tmp/x"}])
def test_hostile_text_stays_in_its_sequence(environ: dict[str, str]) -> None:
    for sequence in (notices.show_title(HOSTILE), notices.notify(HOSTILE, environ)):
        bare = sequence.replace("\x1b\x1b", "\x1b") if environ else sequence
        bodies = re.findall(r"\x1b\](?:2|9|777;notify;faq-tui);([^\x07]*)\x07", bare)
        assert len(bodies) == bare.count("\x07") - bare.startswith("\x07"), "each bell ends a sequence of ours"
        for body in bodies:
            assert body.isprintable() and len(body) <= notices.LONGEST and "EVIL" in body, body
            assert not {"\x1b", "\x07", "\x9c", "\x9b", "\u202e"} & set(body)
        assert bare.count("\x1b]") == len(bodies)
    osc777 = notices.notify("x;y", {}).partition("777;")[2]
    assert osc777 == "notify;faq-tui;x,y\a", "a semicolon would begin another field"


def test_tmux_passes_notices_on() -> None:
    assert notices.notify("x", {"TMUX": "1"}).count("\x1bPtmux;\x1b\x1b]") == 2
    assert "Ptmux" not in notices.show_title("x"), "tmux shows the title itself"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sequences: list[str] = []

    def record(self: FaqApp, sequence: str, allowed: bool) -> None:
        if allowed:
            sequences.append(sequence)

    monkeypatch.setattr(FaqApp, "_send", record)
    return sequences


@pytest.mark.parametrize(("allowed", "count"), [(True, 1), (False, 0)])
async def test_a_notice_when_a_job_ends(folder: Path, sent: list[str], allowed: bool, count: int) -> None:
    app = app_on(folder, Config(notices=allowed, title=allowed))
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.session.phase == "idle")
        assert not [one for one in sent if one.startswith(notices.BELL)], "nothing has ended yet"
        app.session.phase = "running"
        app.session.live.apply(StageStarted("judge", 4, "scores"), 1.0)
        await until(pilot, lambda: app._drawn_phase == "running")
        await pilot.pause(0.2)
        app.session.live.apply(StageFailed("judge", "no server\x1b]2;EVIL\x07", 1), 2.0)
        app.session.phase, app.session.outcome = "idle", "failed"
        await until(pilot, lambda: app._drawn_phase == "idle")
        await pilot.pause(0.2)
    bells = [one for one in sent if one.startswith(notices.BELL)]
    assert len(bells) == count
    assert (notices.show_title("faq-tui run: judge 0%") in sent) is allowed
    assert (sent[-1:] == [notices.give_back_title()]) is allowed


@pytest.mark.slow
@pytest.mark.parametrize(("term", "title"), [("xterm-256color", True), ("linux", False)])
def test_the_terminal_gets_the_title_and_has_its_own_again(folder: Path, term: str, title: bool) -> None:
    shown = OnTerminal(*FAQ_TUI, folder, TERM=term)
    try:
        shown.wait_to_see("Nothing is running", seconds=60)
        shown.press(b"q")
        assert shown.wait(60) == 0
    finally:
        shown.kill()
    assert (b"\x1b]2;faq-tui run\x07" in shown.got) is title
    assert (b"\x1b[22;2t" in shown.got) is (b"\x1b[23;2t" in shown.got) is title
    if title:
        assert shown.got.index(b"\x1b[23;2t") < shown.got.index(b"\x1b[?1049l")
