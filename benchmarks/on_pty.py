"""Run a program on a pseudo-terminal of a given size, and record the time of each output byte."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

TICK = os.sysconf("SC_CLK_TCK")
# The reply by which a terminal reports that it supports synchronized output.
ASKED_SYNC, SAID_SYNC = b"\x1b[?2026$p", b"\x1b[?2026;2$y"


class OnPty:
    """A program that runs during a `with` block. At the end of the block, only this program is killed.

    Times are values of `time.perf_counter`.
    """

    def __init__(
        self, command: Sequence[str | Path], size: tuple[int, int], env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        """`size` is (columns, rows)."""
        self.size = size
        self.chunks: list[tuple[float, bytes]] = []
        self._command, self._env, self._cwd = [str(part) for part in command], dict(env), cwd
        self._answered = False

    def __enter__(self) -> OnPty:
        self._ours, theirs = pty.openpty()
        columns, rows = self.size
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        def own_the_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**self._env, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            cwd=self._cwd,
            preexec_fn=own_the_terminal,
        )
        os.close(theirs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the program as if its window were closed. If the program does not end, kill it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                deadline = time.perf_counter() + 5
                while self._process.poll() is None and time.perf_counter() < deadline:
                    self.read(0.05)
        self._process.wait()
        os.close(self._ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def press(self, keys: bytes) -> float:
        """Send the text. Returns the time."""
        at = time.perf_counter()
        os.write(self._ours, keys)
        return at

    def read(self, seconds: float) -> None:
        """Read output for the given number of seconds."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            if not select.select([self._ours], [], [], left)[0]:
                return
            data = b""
            with suppress(OSError):  # Linux reports the end of a pty as EIO
                data = os.read(self._ours, 1 << 16)
            at = time.perf_counter()
            if not data:
                time.sleep(max(0.0, min(left, 0.05)))
                continue
            self.chunks.append((at, data))
            if not self._answered and ASKED_SYNC in data:
                self._answered = True
                os.write(self._ours, SAID_SYNC)

    def wait_for(self, text: bytes, seconds: float = 60) -> None:
        """Wait for `text` in the output. Raises TimeoutError with the last bytes if the text does not appear."""
        deadline, seen = time.perf_counter() + seconds, 0
        while True:
            if any(text in data for _at, data in self.chunks[seen:]):
                return
            seen = len(self.chunks)
            if time.perf_counter() > deadline or self.is_over():
                raise TimeoutError(f"{text!r} never came: {b''.join(d for _at, d in self.chunks)[-1500:]!r}")
            self.read(0.05)

    def bytes_between(self, begin: float, end: float) -> int:
        return sum(len(data) for at, data in self.chunks if begin <= at < end)

    def cpu_seconds(self) -> float:
        """The CPU seconds that the process itself has used."""
        return cpu_seconds(self.pid)

    def maps(self) -> str:
        return Path(f"/proc/{self.pid}/maps").read_text()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process in seconds; 0 if the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK
