"""Widgets for text from models, files and servers.

Other widgets must not show text from these origins.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import Static

from faq_tui.core.base.text import sanitize


def plain(text: str, style: str = "", limit: int | None = None) -> Text:
    """Plain text without markup, control or bidi characters. Newlines are kept."""
    return Text(sanitize(text, limit, newlines=True), style=style)


class LiteralText(Static):
    """A Static that never parses markup."""

    def __init__(self, text: str | Text = "", *, id: str | None = None, classes: str | None = None) -> None:
        self._shown = plain(text) if isinstance(text, str) else text
        super().__init__(self._shown, markup=False, id=id, classes=classes)

    def show(self, text: str | Text) -> None:
        """Show text. Draw only if the text is new, and update the layout only if the size can change."""
        before, self._shown = self._shown, plain(text) if isinstance(text, str) else text.copy()
        if not _same(before, self._shown):
            resizes, pending = self._may_resize(before, self._shown), self._layout_required
            self.update(self._shown, layout=resizes)
            if resizes and pending:
                # While an earlier request for a layout is open, Textual ignores a second request, and may lay out the
                # old text. Therefore the layout is requested again after the next refresh.
                self.call_after_refresh(self.refresh, layout=True)

    def _may_resize(self, before: Text, now: Text) -> bool:
        if not self.styles.auto_dimensions:
            return False
        width = self.styles.width
        if width is not None and width.is_auto:
            return True
        return _height(before, self.size.width) != (height := _height(now, self.size.width)) or height is None


def _same(one: Text, other: Text) -> bool:
    return one == other and one.style == other.style and one.no_wrap == other.no_wrap


def _height(text: Text, width: int) -> int | None:
    """The number of lines, or None if a line is longer than `width`."""
    if not width:
        return None
    lines = text.plain.split("\n")
    return len(lines) if all(cell_len(line) <= width for line in lines) else None
