"""Recognise early that a server's reasoning parser treats whole answers as reasoning."""

from __future__ import annotations

from faq_tui.core.endpoints import Reply
from faq_tui.core.settings import Source

ENOUGH = 4  # a server is recognised as faulty if its first ENOUGH candidates have no answer
NO_FIELD = ("inline", "none")  # dialects whose replies have no separate field for the reasoning


class SwallowedAnswers:
    """Counts the first candidates whose whole text came as reasoning, although the model had finished its answer."""

    def __init__(self) -> None:
        self._row = 0
        self._any_answer = False

    def add(self, reply: Reply) -> bool:
        """Count a reply.

        Returns True if no reply so far had an answer, and at least `ENOUGH` replies consisted only of reasoning.
        """
        self._any_answer = self._any_answer or bool(reply.answer)
        if reply.finish_reason == "stop" and reply.reasoning and not reply.answer and reply.dialect not in NO_FIELD:
            self._row += 1
        return self.found

    @property
    def found(self) -> bool:
        return self._row >= ENOUGH and not self._any_answer


def sentence(source: Source) -> str:
    other = "" if source.reasoning == "off" else ', or set reasoning = "off" for the source'
    return (
        f"{source.shown_url}: the server's reasoning parser mistakes the answers for reasoning (the first {ENOUGH} "
        f"answers are empty): start the server without this parser (vLLM: without --reasoning-parser){other}; the "
        "empty answers are deleted"
    )
