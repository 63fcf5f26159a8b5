"""Reasoning that a server without a reasoning parser leaves inside `content`, between think tags.

Some chat templates open the tag themselves, so that only the closing one arrives.
"""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


def split_think(content: str) -> tuple[str, str, bool]:
    """(reasoning, answer, closed) of a whole reply; `closed` is False if its think block never ended."""
    head, tag, rest = content.partition(OPEN)
    opened = bool(tag) and not head.strip()
    body = rest if opened else content
    reasoning, tag, answer = body.partition(CLOSE)
    if tag:
        return reasoning.strip(), answer.strip(), True
    if opened:
        return body.strip(), "", False
    return "", content.strip(), True


class ThinkStream:
    """The same for text that is still arriving, for display: the whole reply has the last word."""

    def __init__(self) -> None:
        self._held = ""
        self._inside: bool | None = None  # None: nothing but white space so far

    def feed(self, text: str) -> tuple[str, str]:
        """(new reasoning, new answer); what could be the start of a tag is held back."""
        self._held += text
        if self._inside is None:
            start = self._held.lstrip()
            if not start or (OPEN.startswith(start) and start != OPEN):
                return "", ""
            self._inside = start.startswith(OPEN)
            self._held = start.removeprefix(OPEN) if self._inside else self._held
        if not self._inside:
            out, self._held = self._held, ""
            return "", out
        before, tag, after = self._held.partition(CLOSE)
        if tag:
            self._inside, self._held = False, ""
            return before, after
        keep = next((n for n in range(len(CLOSE) - 1, 0, -1) if self._held.endswith(CLOSE[:n])), 0)
        out, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return out, ""
