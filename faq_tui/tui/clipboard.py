"""Copy text to the clipboard and to a file.

An escape sequence (OSC 52) asks the terminal to set the clipboard. The sequence also works over SSH. The terminal
does not report whether it has set the clipboard. Therefore the text is also written to a file.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from rich.text import Text
from textual.app import App
from textual.widget import Widget
from textual.widgets import DataTable, Input, OptionList, Static, TextArea


def osc52(text: str, environ: Mapping[str, str]) -> str:
    """The escape sequence that copies `text`, wrapped for tmux if `$TMUX` is set."""
    sequence = f"\x1b]52;c;{base64.b64encode(text.encode(errors='replace')).decode()}\x07"
    if environ.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return sequence


def copy_file() -> Path:
    """The file that holds the last copied text."""
    return user_cache_path("faq-tui") / "copied.txt"


def save(text: str, path: Path) -> None:
    """Write the text to a file that only this user can read. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8", errors="replace", newline="")


def copy_text(app: App[Any], text: str) -> str:
    """Copy text to the clipboard and to the file. Returns a sentence that says what was copied and where."""
    path = copy_file()
    app.copy_to_clipboard(text)
    try:
        save(text, path)
    except OSError as error:
        return f"copied {len(text):,} characters; {path}: {error.strerror}"
    return f"copied {len(text):,} characters, also to {path}"


def text_of(widget: Widget | None) -> str:
    """Return the plain text of a widget or of its highlighted entry, or "" if the widget has no text."""
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
