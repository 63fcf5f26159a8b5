"""What a person deletes in a text field can be brought back, in every field of the app."""

from __future__ import annotations

import re

import pytest
from textual.app import App, ComposeResult

from faq_tui.tui.widgets.line_input import MOST_STEPS, LineInput
from tests.support.paths import ROOT


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield LineInput("http://elder:8000/v1")

    @property
    def field(self) -> LineInput:
        return self.query_one(LineInput)


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        (("ctrl+u",), ""),
        (("home", "ctrl+k"), ""),
        (("end", "ctrl+w"), "http://elder:8000/"),
        (("ctrl+shift+a", "delete"), ""),
        (("ctrl+shift+a", "x"), "x"),
        (("end", "backspace", "backspace"), "http://elder:8000/"),
    ],
)
async def test_undo_and_redo(keys: tuple[str, ...], left: str) -> None:
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press(*keys)
        assert app.field.value == left
        await pilot.press("ctrl+z")
        assert app.field.value == "http://elder:8000/v1" and app.field.cursor_position == 20
        await pilot.press("ctrl+z")
        assert app.field.value == "http://elder:8000/v1", "there is nothing before the first text"
        await pilot.press("ctrl+y")
        assert app.field.value == left
        await pilot.press("ctrl+y", "ctrl+z")
        assert app.field.value == "http://elder:8000/v1"


async def test_a_word_is_one_step_and_the_cursor_goes_to_the_change() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("ctrl+u", *"two words")
        await pilot.press("ctrl+z")
        assert (app.field.value, app.field.cursor_position) == ("two ", 4)
        await pilot.press("ctrl+z")
        assert app.field.value == ""
        await pilot.press("ctrl+y", "ctrl+y", "home", "right", "delete", "delete")
        assert app.field.value == "t words"
        await pilot.press("ctrl+z")
        assert (app.field.value, app.field.cursor_position) == ("two words", 3)
        await pilot.press("x", "ctrl+y")
        assert app.field.value == "twox words", "after a new change, the undone text cannot come back"


async def test_the_number_of_steps_is_limited() -> None:
    app = Host()
    async with app.run_test():
        for number in range(3 * MOST_STEPS):
            app.field.value = f"text {number}"
        for _ in range(2 * MOST_STEPS):
            app.field.action_undo()
        assert app.field.value == f"text {2 * MOST_STEPS - 1}"


def test_every_field_of_the_app_can_undo() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "faq_tui" / "tui").rglob("*.py")
        if re.search(r"(?<![\w.])Input\((?!\))", path.read_text())
    ]
    assert found == []
