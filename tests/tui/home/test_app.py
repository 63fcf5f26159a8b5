"""Home, with its keys: what it lists, opens and deletes, and what it survives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot

from faq_tui.core.run.delete_run import Deletion
from faq_tui.core.run.known_runs import remember
from faq_tui.core.run.run import locked_folder
from faq_tui.core.run_summary import RunSummary, summarise
from faq_tui.tui.actions import Action
from faq_tui.tui.config import Config
from faq_tui.tui.home.app import SHARED, Choice, HomeApp
from faq_tui.tui.home.dialogs import DeleteScreen
from faq_tui.tui.home_actions import ACTIONS
from faq_tui.tui.keys import keys_of
from faq_tui.tui.screens.choice import ChoiceScreen
from faq_tui.tui.screens.help import HelpScreen
from tests.support.app_host import NOW, text_of, until
from tests.support.home_bench import SUMMARIES, StillScanner, many_states, run_in_state

SIZES = [(80, 24), (120, 36), (200, 60)]
Snap = Callable[..., bool]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def home(here: Path, config: Config | None = None, notice: str = "", select: Path | None = None) -> HomeApp:
    return HomeApp(here, config, notice, clock=lambda: NOW, select=select)


def told(app: HomeApp) -> list[str]:
    return [notification.message for notification in app._notifications]


async def listed(pilot: Pilot[None], count: int) -> None:
    """All runs are on the screen, with their sizes."""
    app = pilot.app
    assert isinstance(app, HomeApp)
    await until(pilot, lambda: len(app._runs) == count and all(run.disk for run in app._runs.values()))
    await pilot.pause()


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_an_action_has_its_method_and_its_words(action: Action) -> None:
    assert callable(getattr(HomeApp, f"action_{action.command}", None))
    assert action.help.endswith(".") and 0 < len(action.label) <= 24


def test_no_key_has_two_meanings() -> None:
    keys = [key for action in (*ACTIONS, *SHARED) for key in keys_of(action, {})]
    assert len(keys) == len(set(keys))


async def test_every_state_has_its_words(here: Path) -> None:
    many_states(here)
    app = home(here)
    async with app.run_test(size=(120, 36)) as pilot:
        await listed(pilot, 7)
        lines = text_of(app).splitlines()
        names = [line.split()[0] if line[1] != "▸" else line.split()[1] for line in lines[2:9]]
        assert names == ["fresh", "finance", "code", "old/deepseek-math", "stopped", "killed", "broken"]
        for line, words in zip(
            lines[2:9],
            ("not started", "done ", "regenerate failed", "done up to judge", "quantize stopped",
             "quantize interrupted", "cannot be read"),
            strict=True,
        ):  # fmt: skip
            assert words in line
        assert "2 better, 1 within noise" in lines[3] and " 5 h " in lines[3]
        assert "▸ fresh" in lines[2], "the cursor is in the first line, although the order was not known at first"


async def test_enter_opens_the_selected_run(here: Path) -> None:
    """home.open, home.down"""
    many_states(here)
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, 7)
        await pilot.press("j", "enter")
    assert app.choice == Choice(here / "finance")


async def test_a_damaged_run_says_why_it_does_not_open(here: Path) -> None:
    """home.last"""
    many_states(here)
    app = home(here)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await listed(pilot, 7)
        await pilot.press("G", "enter")
        assert "is not valid TOML" in told(app)[0] and app.choice is None


async def test_a_run_that_cannot_be_read_at_all_is_one_row(here: Path) -> None:
    many_states(here)

    def fault(folder: Path) -> RunSummary:
        if folder.name == "code":
            raise RuntimeError("boom")
        return summarise(folder)

    app = home(here)
    with mock.patch("faq_tui.tui.home.scan.summarise", fault):
        async with app.run_test(size=(120, 36)) as pilot:
            await listed(pilot, 7)
            assert "cannot be read (RuntimeError: boom)" in app._runs[here / "code"].message


async def test_moving(here: Path) -> None:
    """home.up, home.first, home.page_down, home.page_up"""
    many_states(here)
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, 7)
        seen = []
        for key in ("j", "j", "k", "G", "g", "pagedown", "pageup"):
            await pilot.press(key)
            seen.append(app._list.cursor)
        assert seen == [1, 2, 1, 6, 0, 6, 0]


async def test_an_empty_folder_says_what_to_do(here: Path) -> None:
    app = home(here)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: "There is no run in this folder yet" in text_of(app))
        for key in ("enter", "d"):
            await pilot.press(key)
        assert told(app) == ["there is no run to open", "there is no run to delete"]
        await pilot.press("ctrl+c")
        assert told(app)[-1] == "q leaves"


async def test_runs_that_were_opened_elsewhere_are_listed(here: Path, tmp_path: Path) -> None:
    remember(run_in_state(tmp_path / "elsewhere", "embedded"))
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, 1)
        assert "~/elsewhere" in text_of(app)


async def test_a_run_can_be_selected_first(here: Path) -> None:
    many_states(here)
    app = home(here, select=here / "stopped")
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, 7)
        assert app.selected is not None and app.selected.folder == here / "stopped"


async def test_delete_asks_names_the_size_and_deletes(here: Path) -> None:
    """home.delete"""
    many_states(here)
    remember(here / "finance")
    app = home(here)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await listed(pilot, 7)
        await pilot.press("j", "d")
        await until(pilot, lambda: isinstance(app.screen, ChoiceScreen))
        asked = " ".join(text_of(app).replace("│", " ").split())
        assert str(here / "finance") in asked.replace(" ", "") or "finance?" in asked
        assert "kB and cannot be undone" in asked and "stay: seeds.jsonl" in asked
        await pilot.press("enter")
        assert (here / "finance" / "faq.db").exists(), "enter alone keeps the run"
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ChoiceScreen))
        await pilot.press("y")
        await until(pilot, lambda: len(app._runs) == 6)
        assert [path.name for path in (here / "finance").iterdir()] == ["seeds.jsonl"]


async def test_a_run_with_a_job_is_not_deleted(here: Path) -> None:
    run_in_state(here / "busy", "embedded", "regenerate", "running")
    app = home(here)
    with locked_folder(here / "busy", "job"):
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await listed(pilot, 1)
            assert "running: regenerate" in text_of(app)
            await pilot.press("d")
            await until(pilot, lambda: told(app))
            assert "is working on" in told(app)[0] and not isinstance(app.screen, ChoiceScreen)


async def test_a_job_that_ends_changes_the_row(here: Path) -> None:
    run_in_state(here / "busy", "embedded", "regenerate", "running")
    app = home(here)
    with mock.patch("faq_tui.tui.home.scan.LOOK_EVERY_S", 0.05):
        async with app.run_test(size=(80, 24)) as pilot:
            with locked_folder(here / "busy", "job"):
                await until(pilot, lambda: "running: regenerate" in text_of(app))
            await until(pilot, lambda: "regenerate interrupted" in text_of(app))


async def test_the_demo_is_written_and_started(here: Path) -> None:
    """home.demo"""
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t")
    assert app.choice == Choice(here / "faq-demo", start=True)
    assert "SmolLM2" in (here / "faq-demo" / "faq.toml").read_text()


async def test_the_demo_in_a_folder_that_cannot_be_written(here: Path) -> None:
    (here / "faq-demo").touch()
    app = home(here)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("t")
        assert len(told(app)) == 1 and str(here / "faq-demo") in told(app)[0] and app.choice is None


async def test_another_run_is_not_continued_as_the_demo(here: Path) -> None:
    (here / "faq-demo").mkdir()
    (here / "faq-demo" / "faq.toml").write_text('[target]\nmodel = "embedded"\n[seeds]\npath = "starter"\n')
    app = home(here)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("t")
        assert len(told(app)) == 1 and "a run that is not the demo" in told(app)[0] and app.choice is None


async def test_the_machine_is_checked(here: Path) -> None:
    """home.doctor"""
    app = home(here)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "GiB free" in text_of(app))
        await pilot.press("escape", "q")
    assert app.choice is None


async def test_search_and_clear(here: Path) -> None:
    """home.search, home.clear"""
    many_states(here)
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, 7)
        await pilot.press("slash", *"QWEN3", "enter")
        assert "3 of 7 runs" in text_of(app) and "stopped" not in text_of(app)
        await pilot.press("slash", *"xx", "enter")
        await until(pilot, lambda: 'No run contains "xx". esc shows all runs.' in text_of(app))
        await pilot.press("escape")
        assert "7 runs" in text_of(app)


async def test_reload_finds_new_runs_and_drops_old_ones(here: Path) -> None:
    """home.reload"""
    one = run_in_state(here / "one", "embedded")
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, 1)
        run_in_state(here / "two", "embedded")
        (one / "faq.toml").unlink()
        await pilot.press("f5")
        await until(pilot, lambda: [run.folder.name for run in app._runs.values()] == ["two"])


async def test_help_theme_and_own_keys(here: Path) -> None:
    app = home(here, Config({"app.quit": "Q", "home.open": "o"}))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Q Quit" in text_of(app))
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen) and "Open the selected run" in text_of(app)
        await pilot.press("escape", "T")
        assert isinstance(app.screen, CommandPalette)


async def test_a_notice_is_shown(here: Path) -> None:
    app = home(here, notice="the run\x1b[2J is damaged [red]")
    async with app.run_test(size=(80, 24), notifications=True):
        assert told(app) == ["the run\ufffd[2J is damaged [red]"]


async def test_names_and_targets_are_only_text(here: Path) -> None:
    evil = "[red]x\x1b[2J\x9b2J\u202e\x07"
    run_in_state(here / evil, "a[/red]b\\u001b]52;c;x\\u0007", "judge", "failed", f"no {evil}")
    app = home(here)
    async with app.run_test(size=(200, 60)) as pilot:
        await listed(pilot, 1)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ChoiceScreen))
        text = text_of(app)
        assert "[red]x" in text and not set("\x1b\x9b\u202e\x07") & set(text)


async def test_two_hundred_runs_do_not_hold_up_the_keys(here: Path) -> None:
    """Keys work while the runs are read, and the rows come one after the other."""
    for number in range(200):
        folder = here / f"run-{number:03}"
        folder.mkdir()
        (folder / "faq.toml").write_text('[target]\nmodel = "embedded"\n[seeds]\npath = "starter"\n')
        os.utime(folder / "faq.toml", (NOW - number, NOW - number))
    app, presses, partly = home(here), 0, False

    def slow(folder: Path) -> RunSummary:
        time.sleep(0.02)  # as on a slow disk
        return summarise(folder)

    with mock.patch("faq_tui.tui.home.scan.summarise", slow):
        async with app.run_test(size=(120, 36)) as pilot:
            while len(app._runs) < 200:
                await pilot.press("j")
                presses += 1
                partly = partly or 0 < len(app._list.runs) < 200
    assert partly and presses >= 5, presses


async def test_an_unreadable_state_folder_changes_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "file"))
    run_in_state(here / "one", "embedded")
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, 1)


THEMES = ("textual-dark", "textual-light")


def still_home(monkeypatch: pytest.MonkeyPatch, theme: str, runs: tuple[RunSummary, ...] = SUMMARIES) -> HomeApp:
    """Home with these runs, without a disk."""
    monkeypatch.setattr("faq_tui.tui.home.app.RunScanner", partial(StillScanner, runs=runs))
    return home(Path("/data/quant"), Config(theme=theme))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_picture_of_the_list(
    snap_compare: Snap, size: tuple[int, int], theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = still_home(monkeypatch, theme)
    assert snap_compare(app, terminal_size=size, press=["wait:300", "j", "j", "wait:300"])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_picture_of_an_empty_home(
    snap_compare: Snap, size: tuple[int, int], theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snap_compare(still_home(monkeypatch, theme, ()), terminal_size=size, press=["wait:300"])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_picture_of_the_question(
    snap_compare: Snap, size: tuple[int, int], theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(pilot: Pilot[None]) -> None:
        await pilot.pause(0.3)
        pilot.app.push_screen(DeleteScreen(Deletion(Path("/data/quant/finance"), 12_300_000_000, ("seeds.jsonl",))))
        await pilot.pause()

    assert snap_compare(still_home(monkeypatch, theme), terminal_size=size, run_before=ask)
