"""The card of an artefact in the Quantize pane, by its keys: what it says, copying, serving, trying and deleting."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from faq_tui.core.artefacts import server_control
from faq_tui.core.artefacts.card import ArtefactCard, card_of
from faq_tui.core.artefacts.deletion import ArtefactDeletion
from faq_tui.core.artefacts.quality import quality_in_words
from faq_tui.core.artefacts.server_control import stop_server
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.process import process_identity
from faq_tui.core.models.dense import DENSE, format_of
from faq_tui.core.quantizing.servable import serve_commands
from faq_tui.core.run.delete_run import plan_deletion
from faq_tui.core.run.events import ArtefactStarted, StageStarted
from faq_tui.core.run.run import Run, locked_folder, open_run
from faq_tui.core.run.server_record import SERVING, live_servers, new_record, read_server, write_record
from faq_tui.core.store.artefacts import Artefact, all_artefacts
from faq_tui.core.store.measurements import Measurement, add_measurement
from faq_tui.tui.config import Config
from faq_tui.tui.panes.quantize.card import CardScreen, DeleteArtefactScreen
from faq_tui.tui.panes.quantize.pane import QuantizePane
from faq_tui.tui.screens.choice import ChoiceScreen
from faq_tui.tui.shell import ShellApp
from faq_tui.tui.try_it.screen import TryScreen
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import text_of, until
from tests.support.pane_host import PaneHost
from tests.support.try_run import EQUAL, GPTQ, W8A8, make_try_run, serve_section
from tests.tui.try_it.test_screen import ScriptedSource

SIZES = [(80, 24), (120, 36), (200, 60)]
THEMES = ("textual-dark", "textual-light")
Snap = Callable[..., bool]


@pytest.fixture(autouse=True)
def _a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@asynccontextmanager
async def opened(
    tmp_path: Path, more: str = "", size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[PaneHost, QuantizePane, Pilot[None], Run]]:
    with open_run(make_try_run(tmp_path / "run", more, weights=False)) as run:
        pane = QuantizePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            try:
                yield app, pane, pilot, run
            finally:
                for server in live_servers(run.jobs):
                    stop_server(server)


def told(app: PaneHost) -> str:
    return " | ".join(notification.message for notification in app._notifications)


def shown(app: PaneHost) -> str:
    """The text on the screen in one line, without borders."""
    return " ".join(text_of(app).replace("│", " ").split())


async def card(app: PaneHost, pilot: Pilot[None]) -> CardScreen:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, CardScreen) and "path" in text_of(app))
    assert isinstance(app.screen, CardScreen)
    return app.screen


async def test_card_says_what_an_artefact_is(tmp_path: Path) -> None:
    """quantize.card"""
    async with opened(tmp_path) as (app, _pane, pilot, run):
        await pilot.press("j")
        await card(app, pilot)
        text = shown(app)
        assert GPTQ in text and "gptq 4 bits, groups of 16; set baseline" in text
        assert "kB on the disk; 4.25 bits per quantized weight" in text and "not running" in text
        assert str(run.models / GPTQ).replace(" ", "") in text.replace(" ", "") and "not measured yet" in text
        await pilot.press("escape")
        assert not isinstance(app.screen, CardScreen)


async def test_card_of_what_is_not_made(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pane, pilot, run):
        with run.store.writing() as db:
            db.execute("DELETE FROM artefacts WHERE name = ?", (GPTQ,))
        pane.shown(app.live)
        await pilot.press("j", "enter")
        assert "no artefact on the disk here" in told(app) and not isinstance(app.screen, CardScreen)
        app.live.apply(StageStarted("quantize", 2, "artefacts"), 1.0)
        app.live.apply(ArtefactStarted(GPTQ, 2, 4, 64), 2.0)
        await pilot.press("enter")
        assert "being made now" in told(app) and not isinstance(app.screen, CardScreen)


def test_the_quality_names_the_closest_artefact(tmp_path: Path) -> None:
    with open_run(make_try_run(tmp_path / "run", weights=False)) as run:
        rows = all_artefacts(run.store)
        assert quality_in_words(run.store, rows[GPTQ]) == "not measured yet"

        def measure(folder: str, text: str, kl: float, items: str = "i") -> None:
            columns = {"tokens": [2.0, 2.0], "nll": [2.0, 2.0], "kl": [2 * kl, 2 * kl], "agree": [1.0, 1.0]}
            add_measurement(run.store, Measurement(folder, text, f"{folder}.{items}.float32.cpu", columns))

        measure(GPTQ, "pydoc", 0.5)
        assert quality_in_words(run.store, rows[GPTQ]) == "KL 0.5000 nats per token on pydoc"
        measure(GPTQ, "answers", 0.25)
        measure(W8A8, "answers", 0.0125, items="others")
        assert quality_in_words(run.store, rows[GPTQ]) == "KL 0.2500 nats per token on answers"
        measure(W8A8, "answers", 0.0125)
        words = "KL 0.2500 nats per token on answers; the lowest is 0.0125 "
        assert quality_in_words(run.store, rows[GPTQ]) == f"{words}({W8A8})"
        assert quality_in_words(run.store, rows[W8A8]).endswith("on answers, the lowest of 2 artefacts")


async def test_copy_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    async with opened(tmp_path) as (app, _pane, pilot, run):
        monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
        await card(app, pilot)
        await pilot.press("y")
        assert copied == [f"vllm serve {run.models / EQUAL}"] and "copied" in told(app)
        await card(app, pilot)
        await pilot.press("p")
        assert copied[1:] == [f"faq-tui push {run.folder} {EQUAL} USER/{EQUAL}"]


async def test_try_it_opens_with_the_selected_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """quantize.try_it: the selected artefact is in the second column, and the last prompt comes back."""
    source = ScriptedSource()
    monkeypatch.setattr(QuantizePane, "make_source", staticmethod(lambda _run: source))
    async with opened(tmp_path) as (app, _pane, pilot, _run):
        await pilot.press("j", "j", "t")
        await until(pilot, lambda: isinstance(app.screen, TryScreen))
        await pilot.press("h", "i", "enter")
        assert source.asked[0][0] == ["unquantized", W8A8, EQUAL]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, TryScreen))
        await card(app, pilot)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TryScreen))
        assert app.screen.query_one(Input).value == "hi"


async def test_serve_lives_on_and_stops(tmp_path: Path) -> None:
    async with opened(tmp_path, serve_section()) as (app, pane, pilot, run):
        figures = pane.query_one("#figures", LiteralText)
        await card(app, pilot)
        await pilot.press("s")
        await until(pilot, lambda: "keeps running without the app" in told(app), 60)
        screen = await card(app, pilot)
        await until(pilot, lambda: "running at http://127.0.0.1:" in text_of(app), 60)
        server = screen.server
        assert server is not None and server.model == EQUAL and "Stop the server" in text_of(app)
        assert live_servers(run.jobs) == [server]
        with pytest.raises(FaqError, match="is being served"):
            plan_deletion(run.folder)
        pane.shown(app.live)
        await until(pilot, lambda: f"{EQUAL} is served at {server.url}" in figures._shown.plain)
        await pilot.press("d")
        await until(pilot, lambda: "is being served" in told(app))
        assert not isinstance(app.screen, DeleteArtefactScreen), "a served artefact is not deleted"
        screen = await card(app, pilot)
        await pilot.press("s")
        await until(pilot, lambda: not live_servers(run.jobs), 60)
        await card(app, pilot)
        await until(pilot, lambda: "it was stopped" in text_of(app))


async def test_a_server_ends_if_its_record_is_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path, serve_section()) as (app, _pane, pilot, run):
        await card(app, pilot)
        await pilot.press("s")
        await until(pilot, lambda: any(server.url for server in live_servers(run.jobs)), 60)
        (server,) = live_servers(run.jobs)
        shutil.rmtree(run.jobs)
        await until(pilot, lambda: process_identity(server.pid) != server.began, 30)
        assert not run.jobs.exists()


async def test_a_server_without_its_program_is_not_started(tmp_path: Path) -> None:
    more = '\n[evaluate.serve]\ncommand = ["no-such-program-of-faq", "{folder}"]\n'
    async with opened(tmp_path, more) as (app, _pane, pilot, run):
        await card(app, pilot)
        await pilot.press("s")
        await until(pilot, lambda: "there is no program 'no-such-program-of-faq': install it, or set" in told(app))
        assert "`command` in [evaluate.serve]" in told(app) and "keeps running" not in told(app)
        assert read_server(run.jobs, EQUAL) is None


async def test_a_server_that_ends_at_once_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_control, "SETTLE_S", 60.0)  # the machine may be busy
    command = json.dumps([sys.executable, "-c", "import sys; print('begins'); sys.exit('no GPU \x1b[31mhere')"])
    async with opened(tmp_path, f"\n[evaluate.serve]\ncommand = {command}\n") as (app, _pane, pilot, _run):
        await card(app, pilot)
        await pilot.press("s")
        await until(pilot, lambda: "has already ended" in told(app), 60)
        assert 'The last line is: "no GPU here"' in told(app) and "keeps running" not in told(app)
        assert app._notifications and "\x1b" not in told(app)
        await card(app, pilot)
        await until(pilot, lambda: "not running" in text_of(app) and "no GPU here" in shown(app))
        assert "Serve it in the background" in text_of(app), "it can be tried again"


async def test_a_server_whose_process_is_gone_is_not_running(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _pane, pilot, run):
        gone = replace(new_record(EQUAL, EQUAL), began="other boot:1", state=SERVING, url="http://127.0.0.1:1/v1")
        write_record(run.jobs, gone)
        await card(app, pilot)
        assert "not running: its process was killed" in text_of(app) and "Stop the server" not in text_of(app)


async def test_export_copies_the_folder(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _pane, pilot, _run):
        place = tmp_path / "out"
        place.mkdir()
        for times, expected in ((1, f"copied to {place / EQUAL}"), (2, "exists already")):
            await card(app, pilot)
            await pilot.press("e")
            await until(pilot, lambda: len(app.screen.query(Input)) == 1)
            app.screen.query_one(Input).value = str(place)
            await pilot.press("enter")
            await until(pilot, partial(lambda words: words in told(app), expected))
            assert (place / EQUAL / "config.json").is_file(), times
        assert [path.name for path in place.iterdir()] == [EQUAL], "no half copy is left"


async def test_delete_asks_says_what_it_means_and_deletes(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _pane, pilot, run):
        with run.store.writing() as db:
            db.execute("UPDATE artefacts SET same_as = ? WHERE name = ?", (EQUAL, GPTQ))
        await card(app, pilot)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ChoiceScreen) and "This frees" in text_of(app))
        text = shown(app)
        assert f"Delete the folder of {EQUAL}?" in text and "kB and cannot be undone" in text
        assert f"{GPTQ} has the same weights." in text
        assert "quantize, evaluate and report are then out of date" in text and "this took 75 s" in text
        await pilot.press("enter")
        assert (run.models / EQUAL).is_dir(), "enter alone keeps it"
        await card(app, pilot)
        await pilot.press("d")
        await until(pilot, lambda: "This frees" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: not (run.models / EQUAL).exists())
        await until(pilot, lambda: "not on the disk; it had 4.25 bits" in text_of(app))
        assert EQUAL in all_artefacts(run.store), "its measurements keep their model"
        await pilot.press("enter")
        assert "no artefact on the disk here" in told(app) and not isinstance(app.screen, CardScreen)


async def test_nothing_is_deleted_while_a_job_runs(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _pane, pilot, run):
        await card(app, pilot)
        with locked_folder(run.folder, "job"):
            await pilot.press("d")
            await until(pilot, lambda: "is working on" in told(app))
        assert (run.models / EQUAL).is_dir()


class CardHost(ShellApp):
    """An app with only one dialog."""

    def __init__(self, dialog: Any, theme: str) -> None:
        super().__init__(Config(theme=theme))
        self._dialog = dialog

    def on_mount(self) -> None:
        self.push_screen(self._dialog)


FOLDER = Path("/runs/qwen3-8b/models/gptq-w4g64-elder")
ROW = Artefact("gptq-w4g64-elder", "s", {}, "elder", None, 512, 120_000, 4.31, 840.0)


def made_up_card() -> ArtefactCard:
    commands = serve_commands(FOLDER, format_of("gptq") or DENSE)
    quality = "KL 0.0431 nats per token on answers, the lowest of 4 artefacts"
    return ArtefactCard(ROW, FOLDER, 5_730_000_000, commands, (), quality)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "size",
    [SIZES[0], *(pytest.param(size, marks=pytest.mark.slow) for size in SIZES[1:])],
    ids=["size0", "size1", "size2"],
)
@pytest.mark.parametrize("which", ["card", "delete"])
def test_picture(snap_compare: Snap, size: tuple[int, int], theme: str, which: str) -> None:
    plan = ArtefactDeletion(ROW.name, FOLDER, 5_730_000_000, ("gptq-w4g64-mix",), 4, 840.0)
    dialog = (
        CardScreen(made_up_card(), "gptq 4 bits, groups of 64") if which == "card" else DeleteArtefactScreen(plan)
    )

    async def settle(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "gptq-w4g64-elder" in text_of(pilot.app))
        await asyncio.sleep(0.1)
        await pilot.pause()

    assert snap_compare(CardHost(dialog, theme), terminal_size=size, run_before=settle)


def test_a_format_without_a_server_is_said(tmp_path: Path) -> None:
    with open_run(make_try_run(tmp_path / "run", weights=False)) as run:
        config = run.models / EQUAL / "config.json"
        config.write_text('{"quantization_config": {"quant_method": "other"}}')
        found = card_of(run, all_artefacts(run.store)[EQUAL])
        assert (
            not found.commands
            and found.command == ""
            and "knows no server that can load this folder" in found.servers
        )
        assert found.doubts == ("faq-tui does not know the format of the weights",)
        config.write_text("[]")
        assert "cannot be read" in card_of(run, all_artefacts(run.store)[EQUAL]).doubts[0]
