"""Find texts of a pane that are wider or higher than their widgets.

Text can be lost in three ways: a fixed text needs more room than its widget has; a widget draws a line past its own
edge; or a widget removes letters of a line. The third way is allowed in a list if an ellipsis shows it and the whole
text can be read elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import rich.cells
from rich.text import Text
from textual.containers import ScrollableContainer
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

ELLIPSIS = "…"


def cut(root: Widget) -> list[str]:
    """A sentence for each text in sight that has not the room it needs."""
    return [said for widget in _in_sight(root) for said in (_of_static(widget) or _of_painted(widget))]


def _in_sight(root: Widget) -> Iterator[Widget]:
    for widget in root.walk_children(Widget):
        seen = widget.visible and all(parent.display for parent in widget.ancestors_with_self)
        if seen and widget.region.area and not widget.children:
            yield widget


def _of_static(widget: Widget) -> list[str]:
    if not isinstance(widget, Static):
        return []
    found, size = [], widget.content_size
    text = str(widget.visual)
    if widget.styles.text_wrap == "nowrap" or getattr(widget.content, "no_wrap", False):
        lines = text.split("\n")
        wide = max(lines, key=rich.cells.cell_len)
        if rich.cells.cell_len(wide.rstrip()) > size.width:
            found.append(f"{_name(widget)} has {size.width} cells for: {wide}")
        needed = len(lines)
    else:
        needed = widget.get_content_height(widget.app.size, widget.app.size, size.width)
    if needed > size.height and text.strip():
        found.append(f"{_name(widget)} has {size.height} lines, not {needed}, for: {text}")
    return found


def _of_painted(widget: Widget) -> list[str]:
    if isinstance(widget, Static):
        return []
    found = []
    width = widget.scrollable_content_region.width if isinstance(widget, ScrollableContainer) else widget.size.width
    for y in range(widget.size.height):
        with _watched() as lost:
            strip = widget.render_line(y)
        text = strip.text
        past = strip.crop(width).text.strip() if strip.cell_length > width else ""
        if past:
            found.append(f"{_name(widget)} paints {past!r} past its {width} cells: {text}")
        elif any(part.strip() for part in lost) and ELLIPSIS not in text:
            found.append(f"{_name(widget)} leaves out {lost} of the line: {text}")
    return found


@contextmanager
def _watched() -> Iterator[list[str]]:
    """What the functions that cut text take away meanwhile."""
    lost: list[str] = []

    def watch(plain: Callable[..., Any], text_of: Callable[[Any], str]) -> Callable[..., Any]:
        def cutting(text: Any, *args: Any, **named: Any) -> Any:
            before = text_of(text)
            made = plain(text, *args, **named)
            after = text_of(text if made is None else made).removesuffix(ELLIPSIS)
            if before.startswith(after.rstrip(" ")):
                lost.append(before[len(after.rstrip(" ")) :])
            return made

        return cutting

    set_cell_size = watch(rich.cells.set_cell_size, str)
    with (
        mock.patch.object(Text, "truncate", watch(Text.truncate, lambda text: text.plain)),
        mock.patch.object(Strip, "adjust_cell_length", watch(Strip.adjust_cell_length, lambda strip: strip.text)),
    ):
        ours = [m for n, m in sys.modules.items() if n.startswith("faq_tui.tui") and hasattr(m, "set_cell_size")]
        patches = [mock.patch.object(module, "set_cell_size", set_cell_size) for module in ours]
        for patch in patches:
            patch.start()
        try:
            yield lost
        finally:
            for patch in patches:
                patch.stop()


def _name(widget: Widget) -> str:
    return f"{type(widget).__name__}#{widget.id}"
