"""Refusals of single requests, and when they are so many and so alike that all requests would be refused."""

from __future__ import annotations

import itertools
import re

ENOUGH = 8  # seeds refused alike in a row

_VARIES = re.compile(r"\S*\d\S*")  # counts of tokens, ids of requests


class RefusedAlike:
    """Counts the seeds whose requests were refused alike, with no request answered between them."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._undecided: set[int] = set()
        self._row: set[str] = set()
        self._words = ""
        self._last = self._row_began = 0
        self._any_answered = False

    def open(self) -> int:
        """A ticket for a request that is sent now."""
        self._last = next(self._tickets)
        self._undecided.add(self._last)
        return self._last

    def close(self, ticket: int) -> None:
        """The request is over, with any result."""
        self._undecided.discard(ticket)

    def answered(self, ticket: int) -> None:
        """The server took the request. It ends the row once, since an answer may stream on for minutes."""
        if ticket in self._undecided:
            self._undecided.discard(ticket)
            self._row.clear()
            self._any_answered = True

    def add(self, ticket: int, seed_id: str, reason: str, about_room: bool) -> bool:
        """Count a refusal; True if another request would be refused, too.

        A refusal about the window concerns one prompt as soon as any other was answered, and is not counted then. The
        row is not complete while a request is undecided that was sent before the row's first refusal came.
        """
        self._undecided.discard(ticket)
        if about_room and self._any_answered:
            return False
        words = _VARIES.sub("#", reason)
        if words != self._words or not self._row:
            self._words, self._row, self._row_began = words, set(), self._last
        self._row.add(seed_id)
        return len(self._row) >= ENOUGH and not any(ticket <= self._row_began for ticket in self._undecided)
