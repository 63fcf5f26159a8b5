"""Lines of ANSI text become strips: no character is lost, and each has its colours."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import Color
from rich.style import Style
from textual.app import App, ComposeResult

from faq_tui.core.plots.cells import line
from faq_tui.tui.widgets.drawing import DrawingView, strips_of
from tests.support.app_host import text_of

CELLS = st.lists(
    st.tuples(st.sampled_from("ab▀█ ╌"), st.sampled_from(["", "dim", "peak", "38;2;1;2;3;48;2;4;5;6"])), max_size=30
)


@settings(deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=5))
def test_no_character_is_lost(rows: list[list[tuple[str, str]]]) -> None:
    strips = strips_of("\n".join(map(line, rows)))
    assert [strip.text for strip in strips] == ["".join(mark for mark, _ in row) for row in rows]


def test_colours() -> None:
    (strip,) = strips_of(line([("▀", "38;2;1;2;3;48;2;4;5;6"), ("a", ""), ("b", "peak")]))
    first, second, third = strip
    assert first.style == Style(color=Color.from_rgb(1, 2, 3), bgcolor=Color.from_rgb(4, 5, 6))
    assert not second.style and third.style is not None and third.style.bold


async def test_long_lines_are_cut_and_missing_lines_are_empty() -> None:
    class Host(App[None]):
        def compose(self) -> ComposeResult:
            yield DrawingView()

    app = Host()
    async with app.run_test(size=(10, 4)) as pilot:
        app.query_one(DrawingView).show(strips_of("0123456789abc\nxyz"))
        await pilot.pause()
        assert text_of(app).split("\n") == ["0123456789", "xyz       ", " " * 10, " " * 10]
