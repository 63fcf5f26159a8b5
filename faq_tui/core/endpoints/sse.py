"""Server-sent events out of bytes that arrive in any pieces.

A character, a line or an event may be cut anywhere: nothing is decoded before its line is whole.
https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

MOST_LINE_BYTES = 16 << 20  # no line of an honest server comes near
MOST_EVENT_BYTES = 16 << 20  # of its lines together


class EventStream:
    """`feed` returns the data of every event that has become whole.

    An event that repeats the `id` of the one before it is a copy that something between here and there sent
    again: it is dropped.
    """

    def __init__(self) -> None:
        self._rest = bytearray()  # of a line that is not whole: it grows in place, however small the pieces are
        self._data: list[bytes] = []
        self._size = 0  # bytes of the event's lines
        self._id: bytes | None = None
        self._last_id: bytes | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """Raises ValueError on a line or an event that does not end."""
        if b"\n" not in piece:
            self._rest += piece
            self._check_rest()
            return []
        if self._rest:
            piece = bytes(self._rest) + piece
        *lines, rest = piece.split(b"\n")
        self._rest = bytearray(rest)
        self._check_rest()
        found: list[bytes] = []
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[6:] if text[5:6] == b" " else text[5:])
                self._size += len(text)
                if self._size > MOST_EVENT_BYTES:
                    raise ValueError("an event of the stream does not end")
            elif not text:
                self._dispatch(found)
            elif text.startswith(b"id:"):
                self._id = text[3:].strip()
        return found

    def _check_rest(self) -> None:
        if len(self._rest) > MOST_LINE_BYTES:
            raise ValueError("a line of the stream does not end")

    def end(self) -> list[bytes]:
        """What is left when the stream is over: some servers end without the last empty line."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _dispatch(self, found: list[bytes]) -> None:
        if self._data and (self._id is None or self._id != self._last_id):
            found.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
        self._last_id = self._id if self._data else self._last_id
        self._data, self._id, self._size = [], None, 0
