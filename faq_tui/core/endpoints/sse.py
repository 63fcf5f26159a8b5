"""Read server-sent events from the bytes of a stream, as the standard defines them.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from typing import NamedTuple

MOST_LINE_BYTES = 16 << 20  # a longer line is an error
MOST_EVENT_BYTES = 16 << 20  # limit for all lines of one event together
BOM = b"\xef\xbb\xbf"


class SentEvent(NamedTuple):
    """One event of a stream. If the data has several lines, they are joined by line feeds."""

    data: bytes
    type: bytes = b""  # the field `event`; b"" stands for the default type "message"
    id: bytes | None = None  # the field `id` of this event; None if the event has no id


class EventReader:
    """Reads events from bytes that arrive in pieces of any size.

    A piece may end inside a byte order mark, a line end or an event. Lines end with CR LF, LF or CR.
    """

    def __init__(self) -> None:
        # the first bytes, which may be a byte order mark; None after they are checked
        self._start: bytes | None = b""
        # True if the last piece ended with CR. An LF at the start of the next piece belongs to the same line end.
        self._after_cr = False
        self._rest = bytearray()  # the incomplete last line; it is a bytearray, because appending to one is fast
        self._data: list[bytes] = []
        self._size = 0  # number of bytes in the lines of the current event
        self._type = b""
        self._id: bytes | None = None

    def feed(self, piece: bytes) -> list[SentEvent]:
        """Return the events that are complete after this piece. Raises ValueError if an event is too long."""
        if self._start is not None:
            piece = self._start + piece
            if len(piece) < len(BOM) and BOM.startswith(piece):
                self._start = piece
                return []
            piece, self._start = piece.removeprefix(BOM), None
        if self._after_cr or b"\r" in piece:
            piece = self._with_line_feeds(piece)
        if b"\n" not in piece:
            self._rest += piece
            self._check_rest()
            return []
        if self._rest:
            piece = bytes(self._rest) + piece
        *lines, rest = piece.split(b"\n")
        self._rest = bytearray(rest)
        self._check_rest()
        events: list[SentEvent] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(SentEvent(b"\n".join(self._data), self._type, self._id))
                    self._data, self._size = [], 0
                self._type, self._id = b"", None
            elif line.startswith(b"data:"):
                self._add(line[6:] if line.startswith(b"data: ") else line[5:])
            else:
                self._field(line)
        return events

    def end(self) -> list[SentEvent]:
        """Return the event that was incomplete when the stream ended, if there is one.

        The standard drops an incomplete event, but this method returns it, because some servers omit the last empty
        line.
        """
        held, self._start = self._start, None
        if held:
            self._rest += held
        self._after_cr = False
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _with_line_feeds(self, piece: bytes) -> bytes:
        if self._after_cr and piece:
            piece, self._after_cr = piece.removeprefix(b"\n"), False
        if piece.endswith(b"\r"):
            self._after_cr = True
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _field(self, line: bytes) -> None:
        """Read a line with a field other than `data:`.

        A line that begins with a colon is a comment, which is ignored.
        """
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add(value)
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value

    def _add(self, data: bytes) -> None:
        self._data.append(data)
        self._size += len(data) + len(b"data:")
        if self._size > MOST_EVENT_BYTES:
            raise ValueError("an event of the stream does not end")

    def _check_rest(self) -> None:
        if len(self._rest) > MOST_LINE_BYTES:
            raise ValueError("a line of the stream does not end")
