"""A click in the footer does what its key does, in a run and in Home."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.home.app import HomeApp
from faq_tui.tui.screens.help import HelpScreen
from faq_tui.tui.widgets.ask import Ask
from tests.support.app_host import app_on, text_of, until


def place_of(app: FaqApp | HomeApp, text: str) -> tuple[int, int]:
    """The cell in the middle of this text in the last line."""
    line = text_of(app).splitlines()[-1]
    assert text in line, line
    return line.index(text) + len(text) // 2, app.size.height - 1


@pytest.mark.parametrize("text", ["? Help", "?", "Help"])
async def test_a_click_on_a_key_or_its_label(folder: Path, text: str) -> None:
    app = app_on(folder)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "? Help" in text_of(app))
        await pilot.click(offset=place_of(app, text))
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


async def test_a_click_between_the_keys_does_nothing(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "q Quit" in text_of(app))
        x, y = place_of(app, "q Quit")
        for cell in (x + 20, x - 4):
            await pilot.click(offset=(cell, y))
        await pilot.pause()
        assert app.is_running and len(app.screen_stack) == 1
        await pilot.click(offset=(x, y))
        await until(pilot, lambda: not app.is_running)


async def test_each_key_of_a_shared_label_is_clicked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_on(folder)
    pressed: list[str] = []
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "1 2 3 Pick" in text_of(app))
        monkeypatch.setattr(app, "simulate_key", pressed.append)
        line = text_of(app).splitlines()[-1]
        for text in ("1", "2", "3", "Pick", "enter", "Accept"):
            await pilot.click(offset=(line.index(text), 23))
    assert pressed == ["1", "2", "3", "3", "enter", "enter"]


async def test_the_keys_of_the_user_are_clicked(folder: Path) -> None:
    app = app_on(folder, Config(keymap={"app.help": "ctrl+question_mark"}))
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "ctrl+? Help" in text_of(app))
        await pilot.click(offset=place_of(app, "ctrl+? Help"))
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.click(offset=(0, 0))  # beside the dialog
        await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_home(folder: Path) -> None:
    app = HomeApp(folder.parent)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "/ Search" in text_of(app))
        await pilot.click(offset=place_of(app, "Search"))
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.click(offset=(0, 0))
        await pilot.pause()
        assert isinstance(app.screen, Ask), "a click beside a form does not lose its text"
