"""What `y` copies when the pane has nothing better to say."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget
from textual.widgets import DataTable, Input, OptionList, Static, TextArea


def text_of(widget: Widget | None) -> str:
    """The plain text of a widget, or of the entry that it highlights; "" if it has none."""
    match widget:
        case None:
            return ""
        case TextArea():
            return widget.selected_text or widget.text
        case Input():
            return widget.value
        case DataTable() if widget.row_count:
            cells = widget.get_row_at(widget.cursor_row)
            return "\t".join(_plain(cell) for cell in cells)
        case OptionList() if widget.highlighted is not None:
            return _plain(widget.get_option_at_index(widget.highlighted).prompt)
        case Static():
            return _plain(widget.content)
        case _:
            inside = (text_of(child) for child in widget.children if child.display)
            return "\n".join(text for text in inside if text)


def _plain(content: object) -> str:
    if isinstance(content, Text):
        return content.plain
    return str(getattr(content, "plain", content))
