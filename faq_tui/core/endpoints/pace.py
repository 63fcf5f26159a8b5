"""Give up an answer that grows so slowly that it would never end."""

from __future__ import annotations

import time

from faq_tui.core.endpoints.transport import IdleError

# An answer must grow by this number of characters in the longest wait of the client, by default 1,200 s. A model that
# writes one token in 40 s is still fast enough. A server that sends one character every two minutes is not.
LEAST_CHARACTERS = 120


class Pace:
    """Watches one answer from its first character on."""

    def __init__(self, longest_s: float) -> None:
        """`longest_s` is the time in seconds in which the answer must grow by LEAST_CHARACTERS."""
        self._longest_s = longest_s
        self._since = time.monotonic()
        self._before = 0

    def check(self, characters: int) -> None:
        """Call this with the number of characters so far. Raises IdleError if the answer grows too slowly."""
        now = time.monotonic()
        grown = characters - self._before
        if grown >= LEAST_CHARACTERS or not self._before:
            self._since, self._before = now, characters
        elif now - self._since > self._longest_s:
            raise IdleError(f"only {grown} characters of the answer came in {self._longest_s:g} s")
