"""Only the app may write to the terminal.

All other output, for example of native code and child processes, goes to a log file.

Python can redirect its own `print`. But CUDA, tokenizers and child processes write directly to the file descriptors 1
and 2, and this output would destroy the screen. Therefore Textual gets a copy of the terminal's descriptor. The
descriptors 1 and 2 point to the log while the app is open.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from textual.drivers import linux_driver

from faq_tui.core.base.errors import UsageError

LOG_LIMIT = 5_000_000  # limit in bytes; a longer log is emptied at the next start


class Terminal(io.TextIOWrapper):
    """A terminal that may disappear.

    After the terminal has disappeared, output is discarded at once, and no error is raised. An error would end the
    thread that writes for Textual. The UI thread would then wait forever for that thread.
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


def _tolerant_decoder(encoding: str) -> partial[codecs.IncrementalDecoder]:
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")


@contextmanager
def own_terminal(log: Path) -> Iterator[int]:
    """Yield the copy of the terminal's descriptor.

    At the end, the descriptors 1 and 2 are restored. Raises UsageError if there is no terminal.
    """
    if not (os.isatty(0) and (os.isatty(1) or os.isatty(2))):
        raise UsageError("the app needs a terminal; without one, use `faq-tui run RUN` or `faq-tui demo --headless`")
    sys.stdout.flush()
    sys.stderr.flush()
    copy = os.dup(2 if os.isatty(2) else 1)
    terminal = Terminal(io.FileIO(copy, "w"), encoding="utf-8", errors="replace")
    # Pasted text, keys with Alt and old reports of the mouse may have bytes that are not UTF-8. Textual would crash.
    linux_driver.getincrementaldecoder = _tolerant_decoder  # type: ignore[attr-defined, assignment]
    with _redirected(log, terminal):
        yield copy


@contextmanager
def own_pipe(log: Path) -> Iterator[int]:
    """Yield the copy of standard output, which is a pipe to the server of a web page.

    Other output goes to the log. At the end, the descriptors 1 and 2 are restored.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    copy = os.dup(1)
    with _redirected(log, Terminal(io.FileIO(copy, "w"), encoding="utf-8", errors="replace")):
        yield copy


@contextmanager
def _redirected(log: Path, terminal: Terminal) -> Iterator[None]:
    """Give Textual `terminal`, and point the descriptors 1 and 2 to the log. At the end, restore both."""
    before = os.dup(1), os.dup(2)
    streams = sys.__stdout__, sys.__stderr__
    target = _opened(log)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    # Textual's driver reads the terminal's size from `sys.__stdout__` and writes to `sys.__stderr__`.
    _set_streams(terminal, terminal)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()  # remaining output goes to the log, not to the terminal
        _set_streams(*streams)
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)
        terminal.close()


def hung_up(fd: int) -> bool:
    """True if the terminal is gone, because the window was closed or the connection was lost."""
    poller = select.poll()
    poller.register(fd, 0)
    return any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in poller.poll(0))


def _opened(log: Path) -> int:
    """A descriptor of the log. If the log cannot be written, output is discarded, and the app works without a log."""
    try:
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _anew(log), 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _anew(log: Path) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    return os.O_TRUNC if log.exists() and log.stat().st_size > LOG_LIMIT else 0


def _set_streams(out: Any, err: Any) -> None:
    sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
