"""The standard streams of a command.

Messages on stderr never end the work: the terminal may be closed, the reader of a pipe may have ended, and the disk
of a log may be full. stdout carries data, so only a reader that has ended is no error.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Messages(io.FileIO):
    """A file that drops what cannot be written."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_streams() -> None:
    """Open missing standard streams, and let messages on stderr never raise an error.

    A caller may have closed a stream, as in `faq-tui … 2>&-`. Then the next file that is opened would get the number
    of the stream, and messages would be written into this file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives the lowest free number, so `number`
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None or sys.stderr is sys.__stderr__:  # a test may have replaced it
        sys.stderr = _messages(sys.stderr)
    # The encoding of the terminal may lack characters. They are then written as escapes such as \u6a21.
    if isinstance(sys.stdout, io.TextIOWrapper) and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")


def _messages(before: TextIO | None) -> io.TextIOWrapper:
    encoding = before.encoding if before is not None else "utf-8"
    file = io.BufferedWriter(_Messages(2, "w", closefd=False))
    return io.TextIOWrapper(file, encoding, "backslashreplace", line_buffering=True)


def reader_has_ended() -> bool:
    """True if stdout is a pipe or a socket, and the program at its other end has ended, such as `head`."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def drop_stdout() -> None:
    """Discard output that cannot be written, so that Python prints no error about it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
