"""One model's answer in a column: its name, its figures, and its text with the departure marked."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from faq_tui.core.trying.answer import TriedAnswer
from faq_tui.core.trying.departure import AnswerComparison, compare
from faq_tui.core.trying.in_words import departure_in_words, figures_in_words
from faq_tui.tui.widgets.short import ShortText, joined_with_dots
from faq_tui.tui.widgets.text import LiteralText, plain

LIMIT = 40_000  # maximum number of characters of an answer on the screen
END = "■"  # marks a departure without characters, such as an answer that ends early
FIRST, LATER, OPEN = "answer--first", "answer--later", "answer--open"


class AnswerText(LiteralText):
    """The text of one answer. The colours of equal and of different text come from the theme."""

    COMPONENT_CLASSES = {FIRST, LATER, OPEN}  # noqa: RUF012  Textual reads this name

    def show_answer(self, answer: TriedAnswer, found: AnswerComparison | None) -> None:
        """Show the answer.

        `found` is its comparison with the unquantized model's answer; None if `answer` is the latter.
        """
        if answer.state == "failed":
            self.show(plain(answer.problem, limit=LIMIT) if not answer.text else self._failed(answer))
        elif found is None:
            self.show(plain(answer.text, limit=LIMIT))
        else:
            self.show(self._marked(found))

    def _failed(self, answer: TriedAnswer) -> Text:
        return plain(answer.text, limit=LIMIT).append_text(plain(f"\n\n{answer.problem}"))

    def _marked(self, found: AnswerComparison) -> Text:
        text, left = Text(), LIMIT
        for words, role in ((found.same, ""), (found.first, FIRST), (found.later, LATER), (found.open, OPEN)):
            if not words or left <= 0:
                continue
            part = plain(words, limit=left)
            if role:
                style = self.get_component_rich_style(role, partial=True)
                # a style on nothing but line breaks or spaces is hard to see, so a sign is added
                part = Text("⏎") + part if role == FIRST and not part.plain.strip() else part
                part.stylize(style)
            text.append_text(part)
            left -= len(words)
        if found.departed and not found.first:
            text.append_text(Text(f" {END}", self.get_component_rich_style(LATER, partial=True)))
        return text


class AnswerColumn(Vertical):
    """One model's answer."""

    def __init__(self, number: int) -> None:
        super().__init__(classes="answer", id=f"answer-{number}")
        self.number = number
        self.answer = TriedAnswer("")

    def compose(self) -> ComposeResult:
        yield ShortText(classes="name")
        yield LiteralText(classes="figures")
        with VerticalScroll(can_focus=False):
            yield AnswerText(classes="words")

    @property
    def _box(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)

    def show(self, answer: TriedAnswer, reference: TriedAnswer) -> None:
        """Show the answer, and how far it equals the unquantized model's answer `reference`.

        While the answer grows, its end stays on the screen, unless the user has scrolled up.
        """
        self.answer = answer
        found = None if answer is reference else compare(reference, answer)
        box = self._box
        follows = not answer.ended and box.scroll_offset.y >= box.max_scroll_y - 1
        self.query_one(ShortText).whole = f"{self.number}  {answer.name}"
        self.query_one(".figures", LiteralText).show(self._figures(answer, reference, found))
        words = self.query_one(AnswerText)
        words.set_class(answer.state == "failed", "-failed")
        words.show_answer(answer, found)
        if follows:
            self.call_after_refresh(box.scroll_end, animate=False)

    def scroll_text(self, lines: int, pages: int = 0) -> None:
        """Scroll the text by `lines` lines and `pages` pages."""
        self._box.scroll_relative(y=lines + pages * max(1, self._box.size.height - 1), animate=False)

    def scroll_text_to(self, end: bool) -> None:
        """Scroll to the beginning or to the end of the text."""
        (self._box.scroll_end if end else self._box.scroll_home)(animate=False)

    def _figures(self, answer: TriedAnswer, reference: TriedAnswer, found: AnswerComparison | None) -> str:
        words = figures_in_words(answer)
        if found is not None:
            words.insert(0, departure_in_words(found, reference, answer))
        return joined_with_dots(filter(None, words), max(20, self.content_size.width - 2))
