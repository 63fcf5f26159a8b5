"""Notice servers whose chunks hold the whole text so far instead of only the new part."""

from __future__ import annotations

ENOUGH_CHUNKS, ENOUGH_CHARACTERS = 4, 24  # with fewer chunks or characters, the repetition may be a coincidence


class CumulativeText:
    """The text of one choice. Each chunk is either the new part of the text, or the whole text so far.

    Every chunk counts as a whole text if it begins with the text of the previous chunk and is longer.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._grows = True

    def new_part(self, chunk: str) -> str:
        """Add a chunk, and return the new part of its text."""
        last = self._parts[-1] if self._parts else ""
        if self._grows and last and not (len(chunk) > len(last) and chunk.startswith(last)):
            self._grows = False
        self._parts.append(chunk)
        return chunk[len(last) :] if self._is_whole() else chunk

    def text(self) -> str:
        return self._parts[-1] if self._is_whole() else "".join(self._parts)

    def _is_whole(self) -> bool:
        return self._grows and len(self._parts) >= ENOUGH_CHUNKS and len(self._parts[-1]) >= ENOUGH_CHARACTERS
