"""Every action of the scope `app`, by its key, and what the screen shows then."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from textual.app import App

from faq_tui.tui import clipboard
from faq_tui.tui.config import Config
from faq_tui.tui.home.choose import ChooseRunScreen
from faq_tui.tui.screens.error import ErrorScreen
from faq_tui.tui.screens.help import HelpScreen
from faq_tui.tui.settings.screen import SettingsScreen
from tests.support.app_host import app_on, said, text_of, until


@pytest.mark.parametrize(
    ("action", "key", "scope"),
    [
        ("app.show_seeds", "1", "seeds"),
        ("app.show_regenerate", "2", "regenerate"),
        ("app.show_judge", "3", "judge"),
        ("app.show_spikes", "4", "spikes"),
        ("app.show_quantize", "5", "quantize"),
        ("app.show_evidence", "6", "evidence"),
    ],
)
async def test_a_digit_shows_its_pane(folder: Path, action: str, key: str, scope: str) -> None:
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2" if key == "1" else "1")
        await pilot.press(key)
        assert scope == app.pane.SPEC.scope and app.pane.region.height == 20
        assert app.focused is not None and app.pane in app.focused.ancestors_with_self, "its keys work at once"
        assert len(app.query("PaneTab.-current")) == 1


async def test_brackets_step_through_the_panes(folder: Path) -> None:
    """app.next_pane, app.previous_pane"""
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        seen = []
        for _ in range(6):
            seen.append(app.pane.SPEC.scope)
            await pilot.press("right_square_bracket")
        assert seen == ["seeds", "regenerate", "judge", "spikes", "quantize", "evidence"]
        assert app.pane.SPEC.scope == "seeds"
        await pilot.press("left_square_bracket")
        assert app.pane.SPEC.scope == "evidence"


async def test_ctrl_c_names_the_key_that_leaves(folder: Path) -> None:
    app = app_on(folder, config=Config(keymap={"app.quit": "Q"}))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+c")
        assert said(app) == ["Q leaves"]


async def test_a_click_on_a_name_shows_its_pane(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click(list(app.query("PaneTab"))[4])
        assert app.pane.SPEC.scope == "quantize"


async def test_help_shows_every_key_and_goes_away(folder: Path) -> None:
    """app.help"""
    app = app_on(folder, Config({"app.start": "ctrl+r"}))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        lines = text_of(app).splitlines()
        assert lines[1].split()[1] == "Quantize", "where one is comes first"
        await pilot.press("G")
        before = app.screen.query_one("#dialog").scroll_y
        assert before > 0
        await pilot.press("g")
        assert app.screen.query_one("#dialog").scroll_y == 0
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


@pytest.mark.slow
async def test_the_palette_finds_an_action_and_does_it(folder: Path) -> None:
    """app.command_palette"""
    app = app_on(folder)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.press(*"loss of each layer")
        await until(pilot, lambda: "Show recipes, artefacts" in text_of(app))
        await pilot.press("enter")
        await pilot.press("enter")
        await until(pilot, lambda: app.pane.SPEC.scope == "quantize")


async def test_colours_are_chosen_from_a_list(folder: Path) -> None:
    """app.theme"""
    app = app_on(folder)
    async with app.run_test(size=(120, 36)) as pilot:
        assert app.theme == "textual-dark"
        await pilot.press("T")
        await pilot.press(*"ansi-dark")
        await until(pilot, lambda: "ansi-dark" in text_of(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.theme == "ansi-dark")


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """What the driver was given to write."""
    got: list[str] = []

    class Driver:
        def write(self, data: str) -> None:
            got.append(data)

    def patched(self: App[Any], text: str) -> None:
        got.append(clipboard.osc52(text, {"TMUX": "1"}))

    with mock.patch("faq_tui.tui.app.FaqApp.copy_to_clipboard", patched):
        yield got


async def test_copy_goes_to_the_clipboard_and_to_a_file(folder: Path, sent: list[str]) -> None:
    """app.copy"""
    app = app_on(folder)
    evil = "hello \x1b[2J [red] \u202e wörld"
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        with mock.patch.object(type(app.pane), "text_to_copy", lambda _pane: evil):
            await pilot.press("y")
        assert clipboard.copy_file().read_text() == evil
        assert clipboard.copy_file().stat().st_mode & 0o77 == 0
        assert sent and base64.b64encode(evil.encode()).decode() in sent[0]
        assert f"{len(evil)} characters" in said(app)[0] and str(clipboard.copy_file()) in said(app)[0]


async def test_nothing_to_copy_says_so(folder: Path, sent: list[str]) -> None:
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        app.set_focus(None)
        with mock.patch.object(type(app.pane), "text_to_copy", lambda _pane: None):
            await app.run_action("copy")
        await pilot.pause()
        assert said(app) == ["there is nothing to copy here"] and not sent


def test_tmux_gets_the_sequence_wrapped() -> None:
    plain = clipboard.osc52("hi", {})
    assert plain == "\x1b]52;c;aGk=\x07"
    assert clipboard.osc52("hi", {"TMUX": "/tmp/tmux-0/default,1,0"}) == "\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\"


async def test_quit_with_nothing_running_leaves_at_once(folder: Path) -> None:
    """app.quit"""
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.phase == "idle")
        await pilot.press("q")
        assert app._exit and app.farewell == ""


async def test_home_leaves_the_run_for_the_list_of_runs(folder: Path) -> None:
    """app.home"""
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.phase == "idle")
        await pilot.press("H")
        assert app._exit and app.goes_home


async def test_stop_with_nothing_running_says_so(folder: Path) -> None:
    """app.stop"""
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.phase == "idle")
        await pilot.press("x")
        assert said(app) == ["nothing is running"]


async def test_an_action_that_fails_says_why_and_the_app_goes_on(folder: Path) -> None:
    from faq_tui.core.base.errors import FaqError

    app = app_on(folder)

    def refuse() -> None:
        raise FaqError("it [red] cannot \x1b[2J be")

    async with app.run_test(size=(80, 24)) as pilot:
        with mock.patch.object(app, "action_stop", refuse):
            await pilot.press("x")
        assert said(app) == ["it [red] cannot \ufffd[2J be"]
        await pilot.press("5")
        assert app.pane.SPEC.scope == "quantize"


async def test_settings_editor_and_errors_are_actions_of_the_app(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`app.settings`, `app.editor` and `app.errors`; their own tests are in settings/ and screens/."""
    monkeypatch.setenv("VISUAL", "nothing-like-it")
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("comma")
        assert isinstance(app.screen, SettingsScreen)
        await pilot.press("escape", "E")
        await until(pilot, lambda: app.errors and "not installed" in app.errors[0])
        await pilot.press("exclamation_mark")
        assert isinstance(app.screen, ErrorScreen)


async def test_compare_asks_for_the_other_run(folder: Path) -> None:
    """app.compare"""
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("C")
        assert isinstance(app.screen, ChooseRunScreen)
        await pilot.press("escape")
        assert app.screen is app.screen_stack[0]
