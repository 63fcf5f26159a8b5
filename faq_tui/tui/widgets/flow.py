"""Long text broken into lines once, and grown at its end without touching what is there."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from faq_tui.core.base.sanitize import sanitize


@dataclass(frozen=True)
class Line:
    text: str  # literal already
    style: str


class Flow:
    """Wrapped lines of styled parts. Appending breaks only the last line anew."""

    def __init__(self, width: int) -> None:
        self.width = max(1, width)
        self.lines: list[Line] = []
        self._open = False  # the last line may still grow

    def append(self, text: str, style: str = "") -> None:
        """Add text, in the last line where it has the same style."""
        if not text:
            return
        text = sanitize(text, newlines=True)
        if self._open and self.lines and self.lines[-1].style == style:
            text = self.lines.pop().text + text
        for paragraph in text.split("\n"):
            self.lines += [Line(line, style) for line in wrap(paragraph, self.width)]
        self._open = True

    def gap(self) -> None:
        """An empty line, and whatever follows begins a new one."""
        self.lines.append(Line("", ""))
        self._open = False


def wrap(paragraph: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces where there are any; no character is lost but those spaces."""
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
        lines[-1] += " "  # past the edge it is not drawn, and keeps the next words of a growing text apart
    return lines


def _fits_narrow(text: str, start: int, width: int) -> int:
    return min(len(text), start + width)


def _fits_wide(text: str, start: int, width: int) -> int:
    """The end of the longest piece of at most `width` cells, and of at least one character."""
    stop = min(len(text), start + width)
    if text[start:stop].isascii():
        return stop  # one odd character must not make a megabyte slow
    while stop > start + 1 and cell_len(text[start:stop]) > width:
        over = cell_len(text[start:stop]) - width
        stop -= max(1, over // 2)
    while stop < len(text) and cell_len(text[start : stop + 1]) <= width:
        stop += 1
    return stop
