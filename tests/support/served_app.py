"""`faq-tui serve` in a process of its own, and a page's connection to it without a browser."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pyte

from tests.support.shell import FAQ_TUI, environment

LINK = re.compile(r"http://(?:[\w.]+|\[[\w:]+\]):\d+/[\w-]+/")


class ServedApp:
    """The command, the link that it printed, and the processes behind its pages."""

    def __init__(self, *arguments: str | Path, **env: str) -> None:
        self.process = subprocess.Popen(
            [*FAQ_TUI, "serve", "--port", "0", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**env),
        )
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        assert LINK.fullmatch(self.link), self.link + self.process.communicate()[1]

    def apps(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Ends it; its exit code and what it wrote to standard error."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


@contextmanager
def served_app(*arguments: str | Path, **env: str) -> Iterator[ServedApp]:
    app = ServedApp(*arguments, **env)
    try:
        yield app
    finally:
        if app.process.poll() is None:
            app.end(signal.SIGKILL)


class PageScreen:
    """What a page with a terminal of this size shows."""

    def __init__(self, columns: int = 100, lines: int = 30) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        self._stream.feed(data)

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)

    def __str__(self) -> str:
        return "\n".join(self._screen.display)


class Connection:
    """A page's websocket."""

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self.screen = PageScreen()
        self.closed = False
        self.received = bytearray()  # everything that the page got

    async def send(self, *message: object) -> None:
        await self._websocket.send_json(list(message))

    async def send_text(self, text: str) -> None:
        await self._websocket.send_str(text)

    async def press(self, keys: str) -> None:
        await self.send("stdin", keys)

    async def wait_to_see(self, text: str, seconds: float = 30) -> None:
        await self._until(lambda: text in str(self.screen), seconds)

    async def wait_to_close(self, seconds: float = 30) -> None:
        await self._until(lambda: self.closed, seconds)

    async def _until(self, true: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, str(self.screen)
            assert not self.closed, str(self.screen)
            try:
                message = await asyncio.wait_for(self._websocket.receive(), 0.5)
            except TimeoutError:
                continue
            if message.type == aiohttp.WSMsgType.BINARY:
                self.received += message.data
                self.screen.feed(message.data)
            elif message.type == aiohttp.WSMsgType.TEXT:
                self.received += message.data.encode()
            else:
                self.closed = True


@asynccontextmanager
async def connected(link: str) -> AsyncIterator[Connection]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{link}ws?width=100&height=30") as websocket:
        yield Connection(websocket)


def all_gone(processes: list[psutil.Process], seconds: float = 15) -> bool:
    """True if these processes end within the time."""
    return not psutil.wait_procs(processes, timeout=seconds)[1]
