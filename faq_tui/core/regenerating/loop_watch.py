"""Detect that a growing text repeats itself, so that its stream can be ended.

`loop_in` checks finished texts. The check of a growing text is stricter, because the text may still stop repeating
itself. Each check reads only the end of the text. A check is made after every `CHECK_EVERY` new characters. For a
stream of 100 tokens per second, the checks take less than 0.1% of a CPU core.
"""

from __future__ import annotations

import zlib

from faq_tui.core.regenerating.flags import loop_in

CHECK_EVERY = 2_000  # number of new characters between two checks
TAIL = 16_000  # number of characters at the end of the text that a check reads
PERIODIC = 4_000  # at least this number of characters at the end must be exactly periodic
REPEATS = 4  # the period must occur at least this many times
# The text is searched for an earlier occurrence of its last MARK characters. The period is the distance between the
# two occurrences.
MARK = 100
# Repetitions that differ in a few characters are found by compression. If compression makes the text more than this
# many times smaller, the text repeats itself.
RATIO = 16.0
CHECKS = 2  # number of successive checks that must find a repetition


class LoopWatch:
    """Watches one growing text."""

    def __init__(self) -> None:
        self._tail = ""
        self._new: list[str] = []
        self._count = 0
        self._found = 0

    def loops(self, text: str) -> bool:
        """Append new text. Returns True if the text so far ends with a part that repeats itself."""
        self._new.append(text)
        self._count += len(text)
        if self._count < CHECK_EVERY:
            return False
        self._tail = (self._tail + "".join(self._new))[-TAIL:]
        self._new, self._count = [], 0
        self._found = self._found + 1 if _repeats(self._tail) else 0
        return self._found >= CHECKS and loop_in(self._tail) is not None


def _repeats(tail: str) -> bool:
    end = len(tail) - MARK
    before = tail.rfind(tail[end:], 0, len(tail) - 1)
    period = end - before
    length = max(PERIODIC, REPEATS * period)
    if before >= 0 and length <= len(tail) and tail[-length:-period] == tail[period - length :]:
        return True
    if len(tail) < TAIL:
        return False
    data = tail.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data, 1)) > RATIO
