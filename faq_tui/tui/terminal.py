"""The terminal belongs to the app alone: what native code, children or threads print goes to a log file.

Python can redirect its own `print`, but CUDA, tokenizers and subprocesses write to file descriptors 1 and 2
themselves, in the middle of the screen. So Textual gets a copy of the terminal's descriptor of its own, and 1 and
2 point at the log for as long as the app is open.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError

LOG_LIMIT = 5_000_000  # bytes, beyond which an old log is begun anew


class Terminal(io.TextIOWrapper):
    """A terminal that may go away: then what is written to it is lost, and nobody waits or complains.

    An error here would end Textual's writing thread, and the screen's thread would wait for it for ever.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def own_terminal(log: Path) -> Iterator[int]:
    """Yields the descriptor of the copy; at the end 1 and 2 are what they were.

    Raises UsageError if there is no terminal.
    """
    if not (os.isatty(0) and (os.isatty(1) or os.isatty(2))):
        raise UsageError("the app needs a terminal: elsewhere use `faq-tui run RUN` or `faq-tui demo --headless`")
    sys.stdout.flush()
    sys.stderr.flush()
    copy = os.dup(2 if os.isatty(2) else 1)
    terminal = Terminal(io.FileIO(copy, "w"), encoding="utf-8", errors="replace")
    before = os.dup(1), os.dup(2)
    streams = sys.__stdout__, sys.__stderr__
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _anew(log), 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    # Where Textual's driver looks for the terminal: it asks the one for its size and writes to the other.
    _set_streams(terminal, terminal)
    try:
        yield copy
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()  # to the log, where it belongs
        _set_streams(*streams)
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)
        terminal.close()


def hung_up(fd: int) -> bool:
    """Whether the other end is gone: the window was closed or the connection was lost."""
    poller = select.poll()
    poller.register(fd, 0)
    return any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in poller.poll(0))


def _anew(log: Path) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    return os.O_TRUNC if log.exists() and log.stat().st_size > LOG_LIMIT else 0


def _set_streams(out: Any, err: Any) -> None:
    sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
