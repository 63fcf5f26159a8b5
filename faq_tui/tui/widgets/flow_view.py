"""A scrolling view of one long text: only the lines on the screen are ever drawn."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from faq_tui.tui.widgets.flow import Flow

Part = tuple[str, str]  # text, style


class FlowView(ScrollView, can_focus=False):
    """Shows parts of text; `grow` adds at the end and stays there unless one has scrolled up."""

    DEFAULT_CSS = "FlowView { scrollbar-size-vertical: 1; scrollbar-gutter: stable; overflow-x: hidden; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._parts: list[Part | None] = []  # None: a gap; kept to be wrapped anew at another width
        self._flow = Flow(1)
        self._sticks = True  # to the end, until one scrolls up
        self._base = Style()

    def show(self, parts: list[Part | None]) -> None:
        """Replace everything; the view stands at its beginning."""
        self._parts = list(parts)
        self._rewrap()
        self.scroll_to(y=0, animate=False, immediate=True)
        self._sticks = True

    def grow(self, parts: list[Part | None]) -> None:
        """Add at the end."""
        if not parts:
            return
        before = len(self._flow.lines)
        for part in parts:
            last = self._parts[-1] if self._parts else None
            if part and last and part[1] == last[1] and len(last[0]) < 2000:
                self._parts[-1] = (last[0] + part[0], part[1])
            else:
                self._parts.append(part)
            self._add(part)
        if len(self._flow.lines) != before:
            self.virtual_size = Size(self._flow.width, len(self._flow.lines))
            if self._sticks:
                self.call_after_refresh(self.to_end)  # the new lines must be laid out first
        self.refresh()

    def to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._sticks = new_value >= self.max_scroll_y if new_value < old_value else self._sticks or self.at_bottom

    @property
    def at_bottom(self) -> bool:
        return self.scroll_offset.y >= self.max_scroll_y

    def text(self) -> str:
        """All of it as it came, for copying."""
        return "".join("\n\n" if part is None else part[0] for part in self._parts)

    def on_resize(self) -> None:
        if self._flow.width != max(1, self.scrollable_content_region.width):
            at_end = bool(self.scroll_offset.y) and self.at_bottom
            self._rewrap()
            if at_end:
                self.call_after_refresh(self.to_end)

    def _add(self, part: Part | None) -> None:
        if not self.scrollable_content_region.width:
            self._flow.width = 0  # not laid out yet: `on_resize` finds another width and wraps it all, once
            return
        if part is None:
            self._flow.gap()
        else:
            self._flow.append(*part)

    def _rewrap(self) -> None:
        self._flow = Flow(self.scrollable_content_region.width)
        for part in self._parts:
            self._add(part)
        self.virtual_size = Size(self._flow.width, len(self._flow.lines))
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        self._base = self.rich_style  # walks up the whole tree: once, not for every line
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width, row = self.size.width, y + self.scroll_offset.y
        base = self._base
        if row >= len(self._flow.lines):
            return Strip.blank(width, base)
        line = self._flow.lines[row]
        style = base + Style.parse(line.style) if line.style else base
        return Strip([Segment(line.text, style)]).adjust_cell_length(width, base)
