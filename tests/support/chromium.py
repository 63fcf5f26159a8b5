"""Headless Chromium, driven through its DevTools protocol: what a page asked for, got and shows."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.served_app import PageScreen

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZE = (1280, 800)


class BrowserPage:
    """A page. `screen` is what its terminal got; `requests` are the addresses that it asked for."""

    def __init__(self, devtools: Any) -> None:
        self._devtools, self._calls = devtools, 0
        self.screen = PageScreen(400, 120)
        self.requests: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        await self._devtools.send_json({"id": self._calls, "method": method, "params": parameters})
        while (reply := await self._devtools.receive_json(timeout=30)).get("id") != self._calls:
            self._note(reply)
        result: dict[str, Any] = reply["result"]
        return result

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(event["params"]["url"])
            case "Network.webSocketFrameReceived" if event["params"]["response"]["opcode"] == 2:
                self.screen.feed(base64.b64decode(event["params"]["response"]["payloadData"]))

    async def script(self, expression: str) -> Any:
        return (await self.call("Runtime.evaluate", expression=expression))["result"].get("value")

    async def press(self, key: str) -> None:
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def click(self, x: int, y: int) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def picture(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    async def wait_to_see(self, text: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while text not in str(self.screen):
            assert time.monotonic() < deadline, str(self.screen)
            await self.script("0")  # takes in what has arrived
            await asyncio.sleep(0.1)


@asynccontextmanager
async def browser_page(profile: Path) -> AsyncIterator[BrowserPage]:
    """An empty page of a browser whose settings are in `profile`."""
    process = subprocess.Popen(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
            *(f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            port = await _devtools_port(profile / "DevToolsActivePort")
            async with session.get(f"http://127.0.0.1:{port}/json/list") as reply:
                address = next(page["webSocketDebuggerUrl"] for page in await reply.json() if page["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as devtools:
                page = BrowserPage(devtools)
                for domain in ("Network", "Runtime", "Page"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        process.kill()
        process.wait()


async def _devtools_port(file: Path) -> int:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline, "Chromium does not start"
        await asyncio.sleep(0.1)
    return int(file.read_text().split()[0])
