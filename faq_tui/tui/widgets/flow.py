"""A scrolling view of one long text that grows at its end.

The text may grow ten times per second. At each growth, this view draws only the changed lines, without a new layout.
Textual's `ScrollView` would need a layout of the whole screen each time.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.events import MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from faq_tui.core.base.text import sanitize
from faq_tui.tui.widgets.thumb import thumb, top_at

Part = tuple[str, str]  # text, style
BAR = 1  # width of the scroll bar in columns


@dataclass(frozen=True)
class FlowLine:
    text: str  # sanitized text
    style: str


class Flow:
    """Parts of text with their styles, wrapped into lines.

    When text is appended, only the last line is wrapped again.
    """

    def __init__(self, width: int) -> None:
        self.width = max(1, width)
        self.lines: list[FlowLine] = []
        self._open = False  # True if the next appended text continues the last line

    def append(self, text: str, style: str = "") -> None:
        """Add text. If the last line has the same style, continue this line."""
        if not text:
            return
        text = sanitize(text, newlines=True)
        if self._open and self.lines and self.lines[-1].style == style:
            text = self.lines.pop().text + text
        for paragraph in text.split("\n"):
            self.lines += [FlowLine(line, style) for line in wrap(paragraph, self.width)]
        self._open = True

    def gap(self) -> None:
        """Add an empty line. The next text begins on a new line."""
        self.lines.append(FlowLine("", ""))
        self._open = False


def wrap(paragraph: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces if possible.

    No character is removed, except the spaces at line breaks.
    """
    if len(paragraph) <= width and cell_len(paragraph) <= width:
        return [paragraph]
    fits = _fits_narrow if paragraph.isascii() else _fits_wide
    lines, start, end = [], 0, len(paragraph)
    while start < end:
        stop = fits(paragraph, start, width)
        if stop < end and paragraph[stop] != " ":
            space = paragraph.rfind(" ", start + 1, stop)
            if space > start:
                stop = space
        lines.append(paragraph[start:stop])
        start = stop + 1 if stop < end and paragraph[stop] == " " else stop
    if paragraph.endswith(" ") and not lines[-1].endswith(" "):
        # keep the space beyond the right edge, because it separates the last word from text that is added later
        lines[-1] += " "
    return lines


def _fits_narrow(text: str, start: int, width: int) -> int:
    return min(len(text), start + width)


def _fits_wide(text: str, start: int, width: int) -> int:
    """The end of the longest piece of `text` that begins at `start` and has at most `width` cells.

    The piece has at least one character.
    """
    stop = min(len(text), start + width)
    if text[start:stop].isascii():
        return stop  # in ASCII text, each character takes one cell, so the end of the line is known without a search
    while stop > start + 1 and cell_len(text[start:stop]) > width:
        over = cell_len(text[start:stop]) - width
        stop -= max(1, over // 2)
    while stop < len(text) and cell_len(text[start : stop + 1]) <= width:
        stop += 1
    return stop


class FlowView(Widget, can_focus=False):
    """Shows parts of text.

    `grow` adds text at the end, and scrolls to the end unless the user has scrolled up. One scroll step is half the
    height of the view. If new text fits without scrolling, only the cells of this text are drawn.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "FlowView { width: 1fr; height: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.top = 0  # index of the line on the first row
        # all parts, kept to wrap them again at another width; None stands for a gap
        self._parts: list[Part | None] = []
        self._flow = Flow(1)
        self._sticks = True  # scroll to the end until the user scrolls up
        self._thumb = range(0)
        self._base = Style()
        self._room, self._height = 0, 0  # columns and rows of the text; asking Textual for them is slow

    def show(self, parts: list[Part | None], at_end: bool = False) -> None:
        """Replace the text. Scroll to the beginning of the new text, or to the end if `at_end` is true."""
        if not parts and not self._parts:
            return
        self._parts = list(parts)
        self._rewrap()
        self._sticks = True
        self._go(self._last_top if at_end else 0)

    def grow(self, parts: list[Part | None]) -> None:
        """Add text at the end."""
        if not parts:
            return
        lines = self._flow.lines
        changed = max(0, len(lines) - 1)
        before = cell_len(lines[-1].text) if lines else 0
        for part in parts:
            last = self._parts[-1] if self._parts else None
            if part and last and part[1] == last[1] and len(last[0]) < 2000:
                self._parts[-1] = (last[0] + part[0], part[1])
            else:
                self._parts.append(part)
            self._add(part)
        height = self._height
        if self._sticks and len(self._flow.lines) > self.top + height > 0:
            self._go(len(self._flow.lines) - max(1, height // 2))
            return
        new = self._flow.lines[changed : self.top + height]
        if new and self.top <= changed:
            width = max(before, *(cell_len(line.text) for line in new))
            self.refresh(Region(0, changed - self.top, width, len(new)))
        self._move_thumb()

    def to_end(self) -> None:
        self._sticks = True
        self._go(self._last_top)

    def scroll_by(self, lines: int) -> None:
        """Scroll down by `lines` lines. If `lines` is negative, scroll up."""
        last = self._last_top
        # `grow` may already have scrolled further down. Do not scroll back.
        top = max(0, min(self.top + lines, max(last, self.top)))
        self._sticks = top >= last
        self._go(top)

    @property
    def at_end(self) -> bool:
        """True if the end of the text is on the screen."""
        return self.top >= self._last_top

    @property
    def page(self) -> int:
        """The number of lines that a page key scrolls: one less than the number of visible lines."""
        return max(1, self._height - 1)

    def text(self) -> str:
        """The whole text, not wrapped, for copying."""
        return "".join("\n\n" if part is None else part[0] for part in self._parts)

    def on_screen(self) -> str:
        """The lines on the screen."""
        return "\n".join(line.text for line in self._flow.lines[self.top : self.top + self._height])

    def on_resize(self) -> None:
        self._room, self._height = max(0, self.size.width - BAR), self.size.height
        if self._flow.width == self._room:
            if self.top > self._last_top and not self._sticks:
                self._go(self._last_top)
            self._move_thumb()
            return
        at_end = bool(self.top) and self._sticks
        share = self.top / max(1, len(self._flow.lines))
        self._rewrap()
        self._go(self._last_top if at_end else min(self._last_top, round(share * len(self._flow.lines))))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.scroll_by(round(self.app.scroll_sensitivity_y))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.scroll_by(-round(self.app.scroll_sensitivity_y))

    def on_mouse_down(self, event: MouseDown) -> None:
        if self._thumb and event.x >= self.outer_size.width - BAR:
            event.stop()
            self.capture_mouse()
            self._drag_to(event.y)

    def on_mouse_move(self, event: MouseMove) -> None:
        if self.app.mouse_captured is self:
            self._drag_to(event.y)

    def on_mouse_up(self, _event: MouseUp) -> None:
        self.release_mouse()

    def _drag_to(self, row: int) -> None:
        self.scroll_by(top_at(row, len(self._flow.lines), self._height) - self.top)

    @property
    def _last_top(self) -> int:
        return max(0, len(self._flow.lines) - self._height)

    def _go(self, top: int) -> None:
        self.top = top
        self.refresh(Region(0, 0, self._room, self._height))
        self._move_thumb()

    def _move_thumb(self) -> None:
        before, self._thumb = self._thumb, thumb(len(self._flow.lines), self._height, self.top)
        if bool(before) != bool(self._thumb):
            self.refresh(Region(self._room, 0, BAR, self._height))
        elif before != self._thumb:
            first, last = min(before.start, self._thumb.start), max(before.stop, self._thumb.stop)
            self.refresh(Region(self._room, first, BAR, last - first))

    def _add(self, part: Part | None) -> None:
        if not self._room:
            self._flow.width = 0  # the width is not known yet; `on_resize` wraps all text later
        elif part is None:
            self._flow.gap()
        else:
            self._flow.append(*part)

    def _rewrap(self) -> None:
        self._flow = Flow(self._room)
        for part in self._parts:
            self._add(part)

    def render_lines(self, crop: Region) -> list[Strip]:
        # `rich_style` searches the whole widget tree, so read it once and not for every line.
        self._base = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        row, base = y + self.top, self._base
        line = self._flow.lines[row] if row < len(self._flow.lines) else FlowLine("", "")
        # Pad the row in the style of the last piece. The terminal draws spaces faster than it changes the style.
        text = Segment(set_cell_size(line.text, self._room), base + Style.parse(line.style) if line.style else base)
        bar = base
        if self._thumb:
            colours = self.styles.scrollbar_color.rich_color, self.styles.scrollbar_background.rich_color
            bar = Style(color=colours[0], bgcolor=colours[1], reverse=y in self._thumb)
        return Strip([text, Segment(" " * BAR, bar)], self._room + BAR)
