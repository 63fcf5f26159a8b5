"""Every dialog is a box with its title and keys in the border. Escape closes it, and it scrolls if it is too high."""

from __future__ import annotations

from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from faq_tui.tui.screens.choice import Answer, ChoiceScreen
from faq_tui.tui.widgets.ask import Ask
from faq_tui.tui.widgets.dialog import Dialog, TextDialog
from faq_tui.tui.widgets.menu import Group, Menu
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import text_of

LONG = "\n".join(f"line {number}" for number in range(60))


class Long(TextDialog):
    def body(self) -> ComposeResult:
        yield LiteralText(LONG)


async def opened(pilot: Pilot[None], dialog: Dialog[Any]) -> list[Any]:
    """Show the dialog. Its result is added to the returned list."""
    results: list[Any] = []
    pilot.app.push_screen(dialog, results.append)
    await pilot.pause()
    return results


async def test_a_long_text_can_be_read_to_its_end_and_its_title_is_no_markup() -> None:
    app: App[None] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        results = await opened(pilot, Long("[red]no[/] \x1b[2J"))
        lines = text_of(app).splitlines()
        assert "[red]no[/]" in lines[0] and "\x1b" not in lines[0] and "esc to close" in lines[23]
        assert "line 0" in lines[1] and "line 59" not in text_of(app)
        for key in ("end", "G"):
            await pilot.press(key)
            assert "line 59" in text_of(app), key
            await pilot.press("g")
            assert "line 0" in text_of(app)
        await pilot.press("j", "down", "k")
        assert "line 1 " in text_of(app).splitlines()[1]
        await pilot.press("escape")
        assert results == [None]


@pytest.mark.parametrize(
    ("dialog", "result"),
    [
        (lambda: Ask("Why?", "because"), None),
        (lambda: Menu("Which", [Group("", {"a": "all"}, "a")]), None),
        (lambda: ChoiceScreen("Stop?", (Answer("y", "yes", "Yes"), Answer("escape", "no", "No"))), "no"),
    ],
)
async def test_escape_closes_every_dialog_and_changes_nothing(dialog: Any, result: Any) -> None:
    app: App[None] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        results = await opened(pilot, dialog())
        assert app.screen.query_one("#dialog").region.width <= 80
        await pilot.press("escape")
        assert results == [result]


async def test_the_last_answer_to_a_long_question_can_be_reached() -> None:
    app: App[None] = App()
    answers = (Answer("y", "yes", "Yes"), Answer("n", "no", "No"))
    async with app.run_test(size=(80, 24)) as pilot:
        results = await opened(pilot, ChoiceScreen(LONG, answers))
        await pilot.press("down")
        await pilot.pause()
        button = app.screen.query_one("#answer-no")
        assert app.screen.focused is button and app.screen.region.contains_region(button.region)
        await pilot.press("enter")
        await pilot.pause()
        assert results == ["no"]


async def test_the_keys_of_a_menu_move_in_its_list() -> None:
    app: App[None] = App()
    options = {str(number): f"option {number}" for number in range(40)}
    async with app.run_test(size=(80, 24)) as pilot:
        results = await opened(pilot, Menu("Which", [Group("named", options, "3")]))
        await pilot.press("j", "j", "k", "enter")
        await pilot.pause()
        assert results == [("named", "4")]
        results = await opened(pilot, Menu("Which", [Group("named", options, "3")]))
        await pilot.press("g", "G", "enter")
        await pilot.pause()
        assert results == [("named", "39")]
