"""The cells of a table have the widths of their columns, for short, long and wide texts."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.style import Style

from faq_tui.tui.widgets.table import Column, filled, fitted, head, row, row_strip

COLUMNS = (Column("state", 6, gap=1), Column("name", gap=2), Column("length", 8, right=True, gap=2, cut="start"))


@pytest.mark.parametrize(
    ("text", "column", "cell"),
    [
        ("short", Column(width=7), "short  "),
        ("short", Column(width=7, right=True), "  short"),
        ("a long text", Column(width=7), "a long…"),
        ("a long text", Column(width=7, cut="start"), "…g text"),
        ("a long text", Column(width=7, cut="middle"), "a l…ext"),
        ("界界界界", Column(width=5), "界界…"),
        ("界界界", Column(width=5, right=True), "界界…"),
        ("界" * 9, Column(width=4, cut="start"), "…界 "),
        ("long", Column(width=1), "…"),
        ("a long text", Column(), "a long text"),
        ("\x1b[2Ja\nb", Column(width=8), "�[2Ja b "),
    ],
)
def test_a_text_gets_the_width_of_its_column(text: str, column: Column, cell: str) -> None:
    assert fitted(text, column) == cell
    assert not column.width or cell_len(cell) == column.width


@pytest.mark.parametrize("width", [24, 40, 97])
def test_the_column_without_a_width_gets_the_rest_of_the_line(width: int) -> None:
    columns = filled(COLUMNS, width)
    cells = [("waiting", "red"), ("界" * 100, ""), ("12 tokens", "dim")]
    line = row(columns, cells)
    assert line.cell_len == width == row_strip(columns, cells, Style()).cell_length
    assert line.plain == row_strip(columns, cells, Style()).text
    assert line.plain.startswith(" waiti…  界") and line.plain.endswith("…  … tokens")
    assert head(columns).cell_len == width


def test_a_column_is_never_without_a_cell() -> None:
    assert [column.width for column in filled(COLUMNS, 5)] == [6, 1, 8]
    assert [column.width for column in filled(COLUMNS, 5, least=10)] == [6, 10, 8]


def test_the_space_before_a_cell_has_no_style() -> None:
    """A line through a text would otherwise begin before it."""
    strip = row_strip(COLUMNS[:1], [("gone", "strike")], Style())
    assert [(segment.text, bool(segment.style and segment.style.strike)) for segment in strip] == [
        (" ", False),
        ("gone  ", True),
    ]
