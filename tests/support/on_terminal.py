"""A program on a pty of its own, and what its terminal got and shows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

from tests.support.shell import environment


class OnTerminal:
    """A program whose three streams are one pty of 80×24, and all that its terminal got."""

    def __init__(self, *command: str | Path, **env: str) -> None:
        """`env`: what it finds otherwise than this process, its kind of terminal for one."""
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

        def own_the_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(**{"TERM": "xterm-256color", **env}),
            preexec_fn=own_the_terminal,
        )
        os.close(theirs)
        self.got = b""
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)
        self._drawn = 0  # bytes of `got` that are on it

    def lines(self) -> list[str]:
        """What a person sees now."""
        self.read(0.02)
        self._stream.feed(self.got[self._drawn :])
        self._drawn = len(self.got)
        return list(self._screen.display)

    def wait_to_see(self, *texts: str, seconds: float = 20) -> float:
        """Until all of them are on the screen; returns how long that took."""
        return self.wait_until(lambda seen: all(text in "\n".join(seen) for text in texts), seconds)

    def wait_until(self, true: Callable[[list[str]], object], seconds: float = 20, when: str = "") -> float:
        """The same for anything that can be said of the screen."""
        began = time.monotonic()
        while not true(seen := self.lines()):
            assert time.monotonic() - began < seconds, "\n".join([when, *seen])
        return time.monotonic() - began

    def read(self, seconds: float = 0.1) -> bytes:
        if select.select([self.ours], [], [], seconds)[0]:
            try:
                self.got += os.read(self.ours, 1 << 16)
            except OSError:  # Linux ends a pty with EIO
                time.sleep(0.02)
        return self.got

    def wait_for(self, text: bytes, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.read():
            assert time.monotonic() < deadline, self.got[-3000:]

    def wait(self, seconds: float = 20) -> int:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            self.read(0.02)
            assert time.monotonic() < deadline, "it does not end"
        while select.select([self.ours], [], [], 0.1)[0]:
            before = len(self.got)
            if len(self.read()) == before:
                break
        return self.process.returncode

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def close_window(self) -> None:
        os.close(self.ours)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
