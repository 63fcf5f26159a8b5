"""Two candidates of one seed side by side. The words that only one of them has are marked."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from faq_tui.core.store.candidates import Candidate
from faq_tui.tui.panes.judge.candidate import LABEL_STYLE
from faq_tui.tui.panes.judge.word_diff import Piece, compare, differing
from faq_tui.tui.widgets.covered import CoveredHorizontal
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.text import LiteralText, plain

STYLES = "red strike", "bold green"  # styles of words that only the left or only the right candidate has


class DiffSide(Vertical):
    """One candidate with its title."""

    def compose(self) -> ComposeResult:
        yield LiteralText(classes="title")
        with VerticalScroll(can_focus=False):
            yield LiteralText(classes="words")

    def show(self, title: Text, words: Text) -> None:
        self.query_one(".title", LiteralText).show(title)
        self.query_one(".words", LiteralText).show(words)


class DiffView(CoveredHorizontal):
    """The two candidates."""

    def __init__(self) -> None:
        super().__init__(id="judge-diff")
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield DiffSide()
        yield DiffSide()

    def show(self, left: tuple[Text, Candidate], right: tuple[Text, Candidate]) -> None:
        """Compare two candidates, each with its title. Do nothing if this comparison is already on the screen."""
        sides = list(self.query(DiffSide))
        shown = left[0].plain, left[1].id, right[0].plain, right[1].id
        if shown == self._shown:
            return
        self._shown = shown
        for side, title, words in zip(sides, (left[0], right[0]), both(left[1], right[1]), strict=True):
            side.show(title, words)
            side.query_one(VerticalScroll).scroll_home(animate=False)

    def scroll_text(self, lines: int, pages: int = 0) -> None:
        """Scroll both sides by `lines` lines and `pages` pages."""
        for box in self.query(VerticalScroll):
            box.scroll_relative(y=lines + pages * max(1, box.size.height - 1), animate=False)


def both(left: Candidate, right: Candidate) -> tuple[Text, Text]:
    """The texts of the two candidates, with their different words marked."""
    texts = Text(), Text()
    for name in ("reasoning", "answer"):
        whole = [str(getattr(candidate, name)).strip() for candidate in (left, right)]
        if not any(whole):
            continue
        pieces = compare(whole[0][:LIMIT], whole[1][:LIMIT])
        for text, found, all_of_it, style in zip(texts, pieces, whole, STYLES, strict=True):
            if text.plain:
                text.append("\n\n")
            _add(text, name, found, style)
            text.append(rest(all_of_it), "italic")
    return texts


def _add(text: Text, name: str, pieces: list[Piece], style: str) -> None:
    count = differing(pieces)
    text.append(f"{name}, {count:,} different {'word' if count == 1 else 'words'}\n", LABEL_STYLE)
    if not pieces:
        text.append("nothing", "dim")
    for words, differs in pieces:
        shown = plain(words)
        if differs:
            # do not strike through the space before the words
            shown.stylize(style, len(shown.plain) - len(shown.plain.lstrip()))
        text.append_text(shown)
