"""The comparison of two runs in the app, with its keys: from Home, and from within a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from textual.pilot import Pilot

from faq_tui.core.run_comparison import RunComparison
from faq_tui.tui.actions import Action
from faq_tui.tui.compare.answers import AnswersScreen
from faq_tui.tui.compare.screen import CompareScreen
from faq_tui.tui.compare_actions import ACTIONS
from faq_tui.tui.config import Config
from faq_tui.tui.home.app import HomeApp
from faq_tui.tui.home.choose import ChooseRunScreen
from faq_tui.tui.keys import keys_of
from faq_tui.tui.screens.help import HelpScreen
from tests.support.app_host import NOW, app_on, text_of, until
from tests.support.compared_runs import two_runs

SIZES = [(80, 24), (120, 36), (200, 60)]
Snap = Callable[..., bool]
CHANGED = "[activations]\nsamples = 5\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def home(here: Path, config: Config | None = None) -> HomeApp:
    return HomeApp(here, config, clock=lambda: NOW)


async def compared(pilot: Pilot[None]) -> CompareScreen:
    """The comparison is on the screen."""

    def done() -> bool:
        screen = pilot.app.screen
        return isinstance(screen, CompareScreen) and screen.comparison is not None and "A" in text_of(pilot.app)

    await until(pilot, done, 60)
    await pilot.pause()
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)
    return screen


async def listed(pilot: Pilot[None]) -> HomeApp:
    app = pilot.app
    assert isinstance(app, HomeApp)
    await until(pilot, lambda: len(app._runs) == 2 and all(run.disk for run in app._runs.values()))
    await pilot.pause()
    return app


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_an_action_has_its_method_and_its_words(action: Action) -> None:
    assert callable(getattr(CompareScreen, f"action_{action.command}", None))
    assert action.help.endswith(".") and 0 < len(action.label) <= 24


def test_no_key_has_two_meanings() -> None:
    keys = [key for action in ACTIONS for key in keys_of(action, {})]
    assert len(keys) == len(set(keys))


async def test_two_marked_runs(here: Path) -> None:
    """home.mark, home.compare, compare.close"""
    two_runs(here, CHANGED)
    async with home(here).run_test(size=(100, 40)) as pilot:
        app = await listed(pilot)
        await pilot.press("c")
        assert "mark a run with space" in next(n.message for n in app._notifications)
        await pilot.press("space", "j", "space")
        assert "A o" in text_of(app) and "B o" in text_of(app), "both rows show their letter"
        await pilot.press("c")
        screen = await compared(pilot)
        text = text_of(app)
        assert screen.comparison is not None
        assert {screen.comparison.one.folder.name, screen.comparison.other.folder.name} == {"one", "other"}
        assert "1 setting differs" in text and "activations.samples" in text
        assert "A elder" in text and "B elder" in text and "●" in text
        await pilot.press("escape")
        assert app.screen is app.screen_stack[0]
        await pilot.press("space")
        assert "B o" not in text_of(app), "the mark is gone"


async def test_a_marked_run_and_the_selected_one(here: Path) -> None:
    two_runs(here)
    async with home(here).run_test(size=(100, 40)) as pilot:
        app = await listed(pilot)
        first = app.selected
        await pilot.press("space", "j", "c")
        screen = await compared(pilot)
        assert screen.comparison is not None and first is not None and screen.comparison.one.folder == first.folder
        assert "All settings are the same" in text_of(app)


async def test_the_picks_and_both_answers(here: Path) -> None:
    """compare.view, compare.open, compare.down, compare.up, compare.first, compare.last"""
    one, other = two_runs(here, CHANGED, count=40)
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(CompareScreen(one, other))
        screen = await compared(pilot)
        await pilot.press("enter")
        assert "picks that differ" in text_of(app)
        assert "40 seeds are regenerated in both runs." in " ".join(text_of(app).split())
        for keys, cursor in (
            ("j", 1),
            ("down", 2),
            ("k", 1),
            ("up", 0),
            ("G", 19),
            ("g", 0),
            ("end", 19),
            ("home", 0),
        ):
            await pilot.press(keys)
            assert screen._list.cursor == cursor
        await pilot.press("j", "enter")
        assert isinstance(app.screen, AnswersScreen)
        await pilot.pause()
        text = text_of(app)
        assert "question 2 of 20" in text and "Question 4: what is 4 squared?" in text
        assert "A  elder: pick 1 (judge)" in text and "B  elder: pick 2 (judge)" in text
        line = next(line for line in text.splitlines() if "Way 1 leads" in line)
        assert line.index("Way 1 leads") < 40 <= line.index("Way 2 leads"), "side by side"
        assert "I think of way 1." not in text
        await pilot.press("z")
        await pilot.pause()
        assert "I think of way 1." in text_of(app) and "I think of way 2." in text_of(app)
        await pilot.press("n", "n", "p")
        await pilot.pause()
        assert "question 3 of 20" in text_of(app)
        await pilot.press("escape")
        assert app.screen_stack[-1] is screen and screen._list.cursor == 2, "the list follows"
        await pilot.press("v")
        assert "settings and evidence" in text_of(app)


async def test_the_overview_scrolls(here: Path) -> None:
    """compare.page_down, compare.page_up"""
    one, other = two_runs(here, CHANGED)
    app = home(here)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(CompareScreen(one, other))
        screen = await compared(pilot)
        for keys, moved in (("space", True), ("ctrl+u", False), ("G", True), ("g", False), ("j", True), ("k", False)):
            await pilot.press(keys)
            assert (screen._overview.top > 0) is moved


async def test_help(here: Path) -> None:
    """compare.help"""
    one, other = two_runs(here)
    app = home(here)
    async with app.run_test(size=(110, 40)) as pilot:
        app.push_screen(CompareScreen(one, other))
        await compared(pilot)
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        shown_help = " ".join(text_of(app).replace("│", " ").split())
        assert all(action.label in shown_help for action in ACTIONS)


async def test_another_target_is_said_first(here: Path) -> None:
    one, other = two_runs(here, model="./other-target")
    app = home(here)
    async with app.run_test(size=(120, 30)) as pilot:
        app.push_screen(CompareScreen(one, other))
        await compared(pilot)
        first = text_of(app).splitlines()[1]
        assert "different targets (./target and ./other-target)" in first and "not comparable" in text_of(app)


async def test_hostile_text_stays_text(here: Path) -> None:
    hostile = "[red]x[/red] \x1b]52;c;aGFoYQ==\x07 \x1b[2J \u202egnp.exe [/] end"
    one, other = two_runs(here, hostile=hostile)
    app = home(here)
    async with app.run_test(size=(120, 30)) as pilot:
        app.push_screen(CompareScreen(one, other))
        await compared(pilot)
        await pilot.press("v")
        await pilot.pause()
        assert "[red]x[/red]" in text_of(app)
        for keys in ("enter", "z"):
            await pilot.press(keys)
            await pilot.pause()
            assert not {"\x1b", "\x07", "\u202e"} & set(text_of(app)) and "[red]x[/red]" in text_of(app)


async def test_a_run_that_cannot_be_read(here: Path) -> None:
    one, other = two_runs(here)
    (other / "faq.toml").write_text("[target\n")
    app = home(here)
    async with app.run_test(size=(120, 30)) as pilot:
        app.push_screen(CompareScreen(one, other))
        await until(pilot, lambda: "is not valid TOML" in text_of(app))
        await pilot.press("v", "enter", "j", "escape")
        assert app.screen is app.screen_stack[0]

    def fault(*_folders: Path) -> RunComparison:
        raise RuntimeError("boom")

    app = home(here)
    with mock.patch("faq_tui.tui.compare.screen.compare_runs", fault):
        async with app.run_test(size=(120, 30)) as pilot:
            app.push_screen(CompareScreen(one, other))
            await until(pilot, lambda: "cannot be compared (RuntimeError: boom)" in text_of(app))


async def test_a_damaged_run_says_why_at_home(here: Path) -> None:
    _, other = two_runs(here)
    (other / "faq.toml").write_text("[target\n")
    async with home(here).run_test(size=(100, 30)) as pilot:
        app = await listed(pilot)
        await pilot.press("space", "j", "c")
        assert "is not valid TOML" in next(n.message for n in app._notifications)
        assert app.screen is app.screen_stack[0]


async def test_from_within_a_run(here: Path) -> None:
    one, _ = two_runs(here, CHANGED)
    app = app_on(one)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("C")
        assert isinstance(app.screen, ChooseRunScreen)
        await until(pilot, lambda: "other" in text_of(app).split())
        assert not any(line.split()[:2] == ["▸", "one"] for line in text_of(app).splitlines()), "not the run itself"
        await pilot.press("enter")
        screen = await compared(pilot)
        assert screen.comparison is not None and screen.comparison.one.folder == one
        await pilot.press("r", "5", "escape")
        assert app.screen is app.screen_stack[0] and app.pane.SPEC.scope == "seeds", "the app's keys were covered"
        await pilot.press("C")
        await pilot.press("escape")
        assert app.screen is app.screen_stack[0]


async def test_no_other_run(here: Path) -> None:
    one, other = two_runs(here)
    other.rename(here.parent / "elsewhere")
    app = app_on(one)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("C")
        await until(pilot, lambda: "There is no other run" in text_of(app))
        await pilot.press("enter", "j", "escape")
        assert app.screen is app.screen_stack[0]


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("keys", ["", "v", "v enter"], ids=["overview", "picks", "answers"])
def test_snapshot(
    here: Path, monkeypatch: pytest.MonkeyPatch, snap_compare: Snap, size: tuple[int, int], theme: str, keys: str
) -> None:
    two_runs(here, CHANGED, model="./other-target")
    monkeypatch.chdir(here)
    app = home(here)

    async def before(pilot: Pilot[Any]) -> None:
        app.theme = theme
        app.push_screen(CompareScreen(Path("one"), Path("other")))
        await compared(pilot)
        for key in keys.split():
            await pilot.press(key)
            await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=before)
