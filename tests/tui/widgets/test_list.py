"""The shared list: its cursor stays inside the list and on its entry."""

from __future__ import annotations

import pytest
from rich.text import Text
from textual.app import App, ComposeResult

from faq_tui.tui.widgets.list import LineList, index_of


class Numbers(LineList):
    def line(self, index: int, width: int) -> Text:
        return Text(f"number {index}"[:width])


class ListApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Numbers()


async def test_the_cursor_stays_inside_the_list_and_on_the_screen() -> None:
    app = ListApp()
    async with app.run_test(size=(20, 5)) as pilot:
        numbers = app.query_one(Numbers)
        numbers.count = 30
        await pilot.pause()
        numbers.move(100)
        assert numbers.cursor == 29 and numbers.scroll_offset.y == 25
        numbers.count = 10
        assert numbers.cursor == 9
        numbers.move(-100)
        assert numbers.cursor == 0 and numbers.scroll_offset.y == 0


@pytest.mark.parametrize(
    ("entry", "entries", "otherwise", "index"),
    [("b", ["a", "b"], 0, 1), ("x", ["a", "b"], 5, 1), (None, ["a"], -1, 0), ("x", [], 3, -1)],
)
def test_a_cursor_stays_on_its_entry(entry: str | None, entries: list[str], otherwise: int, index: int) -> None:
    assert index_of(entry, entries, otherwise) == index
