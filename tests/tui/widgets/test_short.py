"""Text that is too wide loses its middle, and gets it back when there is room."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from faq_tui.tui.widgets.short import ShortText, middle, padded


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [("gptq-w4g128-elder", 11, "gptq-…elder"), ("short", 5, "short"), ("界界界界", 5, "界…界"), ("long", 1, "…")],
)
def test_the_middle_is_cut(text: str, width: int, short: str) -> None:
    assert middle(text, width) == short
    assert cell_len(padded(text, width)) == width


class Named(App[None]):
    def compose(self) -> ComposeResult:
        yield ShortText()


async def test_a_text_is_shown_whole_when_there_is_room() -> None:
    app = Named()
    async with app.run_test(size=(9, 3)) as pilot:
        text = app.query_one(ShortText)
        text.whole = "gptq-w4g128\x1b-elder"
        await pilot.pause()
        assert str(text.content) == "gptq…lder"
        await pilot.resize_terminal(40, 3)
        await pilot.pause()
        assert str(text.content) == text.whole and "\x1b" not in text.whole
