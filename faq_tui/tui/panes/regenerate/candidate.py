"""One candidate: a line with its state, and below it the text, which may still grow."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from faq_tui.core.base.text import sanitize
from faq_tui.core.regenerating.flags import words_of
from faq_tui.core.store.candidates import Candidate
from faq_tui.tui.live import CandidateKey, GrowingCandidate
from faq_tui.tui.widgets.flow import FlowView, Part
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.short import middle
from faq_tui.tui.widgets.text import LiteralText

REASONING, ANSWER, LABEL = "dim", "", "bold"


class CandidateView(Vertical):
    """Shows one candidate. While the text grows, only new text is read."""

    @dataclass
    class CandidateClicked(Message):
        number: int

    def __init__(self) -> None:
        super().__init__(classes="candidate")
        self.key: CandidateKey | None = None
        self.finished: Candidate | None = None
        self._growing: GrowingCandidate | None = None
        self._read = [0, 0]  # number of characters of reasoning and of answer that were read so far
        self._state = ("", "")  # (words, style)
        self._more: list[str] = []  # texts that the title shows after the state if there is room
        self._retried = ""
        self._failure: str | None = None  # the reason for the failure that is on the screen
        self._title = LiteralText(classes="title")
        self.flow = FlowView()

    def compose(self) -> ComposeResult:
        yield self._title
        yield self.flow

    def on_click(self) -> None:
        if self.key is not None:
            self.post_message(self.CandidateClicked(self.key[2]))

    def whole(self) -> str:
        """Return the complete text for the clipboard."""
        if self.finished is None:
            return self.flow.text()
        return "\n\n".join(part for part in (self.finished.reasoning, self.finished.answer) if part)

    def show(
        self,
        key: CandidateKey,
        finished: Candidate | None,
        growing: GrowingCandidate | None,
        failure: str | None,
        now: float,
        retried: str = "",
    ) -> None:
        """Draw the candidate's state and new text. This is fast if nothing has changed.

        `retried` is the reason for the last retry of a candidate that has ended; "" if it was not retried.
        """
        other = key != self.key or retried != self._retried
        self.key, self._retried = key, retried
        if growing is not None:
            self._grow(growing, other, now)
        elif finished is not None:
            self._finish(finished, other)
        else:
            self._wait(failure, other)
        self._draw_title()

    def _grow(self, growing: GrowingCandidate, other: bool, now: float) -> None:
        if other or growing is not self._growing:
            self._growing, self.finished, self._read = growing, None, [0, 0]
            self.flow.show([])
        parts: list[Part | None] = []
        if growing.reasoning.length > self._read[0]:
            # new reasoning came after the beginning of the answer, so show the whole text again in the right order
            if self._read[1]:
                self._read = [0, 0]
                self.flow.show([])
            parts.append((growing.reasoning.since(self._read[0]), REASONING))
            self._read[0] = growing.reasoning.length
        if growing.answer.length > self._read[1]:
            if not self._read[1]:
                parts += [None] if self._read[0] else []
                parts += [("answer\n", LABEL)] if self._read[0] else []
            parts.append((growing.answer.since(self._read[1]), ANSWER))
            self._read[1] = growing.answer.length
        self.flow.grow(parts)
        again = f" · try {growing.attempt + 1}" if growing.attempt else ""
        if growing.waits_until is not None:
            wait = max(0, round(growing.waits_until - now))
            self._set_state(f"next try in {wait} s: {growing.why}", "yellow")
        elif self._read == [0, 0]:
            self._set_state(f"waiting for the first token{again}", "cyan")
        else:
            self._set_state(f"writing its {'answer' if self._read[1] else 'reasoning'}{again}", "bold cyan")
        if growing.why and growing.waits_until is None:
            self._more = [f"retried: {growing.why}"]

    def _finish(self, candidate: Candidate, other: bool) -> None:
        if not other and self.finished is not None and self.finished.id == candidate.id:
            return
        stay = not other and self._growing is not None
        self.finished, self._growing = candidate, None
        parts = self._why_retried()
        if candidate.reasoning:
            reasoning = candidate.reasoning[:LIMIT] + rest(candidate.reasoning)
            parts += [(reasoning, REASONING), None, ("answer\n", LABEL)]
        answer = candidate.answer[:LIMIT] + rest(candidate.answer)
        parts.append((answer, ANSWER) if answer else ("(nothing)", REASONING))
        self.flow.show(parts, at_end=stay)
        flags = ", ".join(words_of(flag).title for flag in candidate.flags)
        tokens = f"{candidate.completion_tokens:,} tokens" if candidate.completion_tokens is not None else "done"
        self._set_state(flags or tokens, "yellow" if flags else "green")
        # The time of an answer from a batch file is unknown.
        time = [f"{candidate.seconds:.0f} s"] if candidate.seconds else []
        self._more = [*[tokens, *time][not flags :], *([f"retried: {self._retried}"] if self._retried else [])]

    def _wait(self, failure: str | None, other: bool) -> None:
        if other or self._growing is not None or self.finished is not None or failure != self._failure:
            self.flow.show([*self._why_retried(), (failure, "")] if failure else [])
        self._growing, self.finished, self._failure = None, None, failure
        self._set_state(f"failed: {failure}" if failure else "waiting", "bold red" if failure else "dim")

    def _why_retried(self) -> list[Part | None]:
        return [(f"Tried again because: {self._retried}", REASONING), None] if self._retried else []

    def _set_state(self, words: str, style: str) -> None:
        self._state, self._more = (words, style), []

    def _draw_title(self) -> None:
        mark = "▸" if self.has_class("-chosen") else " "
        text = Text(f"{mark}{self.key[2] if self.key else ''} ", style="bold", no_wrap=True)
        (words, style), room = self._state, self._title.content_size.width - text.cell_len
        state = sanitize(words) if room <= 0 else middle(sanitize(words), room)
        for more in self._more:
            if cell_len(longer := f"{state} · {sanitize(more)}") > room:
                break
            state = longer
        self._title.show(text.append(state, style=style))

    def on_resize(self) -> None:
        self._draw_title()
