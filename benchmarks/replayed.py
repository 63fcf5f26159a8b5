"""Reconstruct the screen of a terminal from recorded output.

The screen is reconstructed after the measurement, so that the measurement is not disturbed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pyte

Chunk = tuple[float, bytes]
Lines = list[str]

# Sequences of newer terminals (modes, queries, strings) that pyte misinterprets as text.
FOREIGN = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*(?:\$p|[^0-9;hl$])|\x1b[P_^].*?\x1b\\", re.DOTALL)


class Replay:
    """Feeds recorded output to an emulator in order. Each byte is fed once."""

    def __init__(self, chunks: list[Chunk], size: tuple[int, int]) -> None:
        self._chunks = chunks
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._next = 0
        self._half = b""

    def until(self, at: float) -> Lines:
        """The screen immediately before the time `at`."""
        for _ in self._steps(at):
            pass
        return self.lines()

    def first(self, holds: Callable[[Lines], bool], before: float) -> float | None:
        """Feed more output, and return the first time at which `holds` is true.

        Returns None if `holds` is not true before the time `before`.
        """
        for at in self._steps(before):
            if holds(self.lines()):
                return at
        return None

    def lines(self) -> Lines:
        return list(self._screen.display)

    def _steps(self, before: float) -> Iterator[float]:
        while self._next < len(self._chunks) and self._chunks[self._next][0] < before:
            at, data = self._chunks[self._next]
            self._next += 1
            # One read may end in the middle of an escape sequence.
            data, self._half = self._half + data, b""
            start = data.rfind(b"\x1b", max(0, len(data) - 64))
            if start >= 0 and not re.match(rb"\x1b(?:\[[0-9;?<>=$]*[a-zA-Z]|[^\[P_^\]])", data[start:]):
                data, self._half = data[:start], data[start:]
            self._stream.feed(FOREIGN.sub(b"", data))
            yield at
