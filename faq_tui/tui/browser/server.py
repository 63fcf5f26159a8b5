"""The server of the app's web page. Each open page has its own process, which runs the app.

The first part of each path is a random token. The server answers a request without the token only with status 403.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import textual_serve
from aiohttp import WSMsgType, web  # noqa: TID253  only the command `serve` imports this module
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.tui.browser import DRIVER

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Say = Callable[[str], None]

STATIC = Path(str(textual_serve.__file__)).parent / "static"  # the terminal for the page: xterm.js and its font
REFUSED = "This link has no valid token. Copy the whole link that `faq-tui serve` printed.\n"
PATIENCE_S = 5.0  # after its page is gone, the app must end within this many seconds
HEARTBEAT_S = 15.0  # a page that does not answer for this long is gone
MOST_COLUMNS, MOST_LINES = 1000, 500
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",  # the address of the page contains the token and must not reach other sites
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """True if only this machine can reach `host`."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def bound(host: str, port: int) -> socket.socket:
    """A socket on this address. Port 0 takes any free port. Raises FaqError if the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FaqError(
            f"cannot serve on {sanitize(host)} port {port} ({reason}): choose another --port or --host"
        ) from None


def link(host: str, port: int, token: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/{token}/"


class PageProcess(AppService):
    """The app of one page: a process that draws into the page and reads its keys."""

    def __init__(self, arguments: Sequence[str], websocket: web.WebSocketResponse) -> None:
        super().__init__(
            "",
            write_bytes=self._written(websocket.send_bytes),
            write_str=self._written(websocket.send_str),
            close=websocket.close,
            download_manager=DownloadManager(),
        )
        self._arguments = arguments

    @staticmethod
    def _written(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        """Send to the page. If the page has gone, discard the data, so that the process's output is still read."""

        async def write(data: Any) -> None:
            with suppress(OSError, RuntimeError):
                await send(data)

        return write

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment = super()._build_environment(width, height)
        for name in ("TMUX", "STY"):  # the server may run in tmux or screen, but the page does not
            environment.pop(name, None)
        return {**environment, "TEXTUAL_DRIVER": DRIVER, "COLORTERM": "truecolor", "TERM": "xterm-256color"}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._build_environment(width, height),
            start_new_session=True,  # ctrl+c ends the server, and the server ends the apps
        )
        self._stdin = self._process.stdin
        return self._process

    async def run(self) -> None:
        """Show the app until its process ends, then close the page."""
        await super().run()
        await self.remote_close()

    async def end(self) -> None:
        """Ask the app to leave. If the app does not leave in time, kill its process."""
        process = self._process
        if process is None:
            return
        try:
            await asyncio.wait_for(self.stop(), PATIENCE_S)
            await asyncio.wait_for(process.wait(), PATIENCE_S)
        except (TimeoutError, OSError, RuntimeError):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class PageServer:
    """Serves the page at `/TOKEN/` and runs `arguments` for each open page. `name` is the title of the page."""

    def __init__(self, arguments: Sequence[str], name: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self._arguments = arguments
        page = Template(files("faq_tui.tui.browser").joinpath("page.html").read_text(encoding="utf-8"))
        self._page = page.substitute(name=escape(sanitize(name)))
        self._open: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        prefix = f"/{self.token}"
        app.add_routes(
            [
                web.get(f"{prefix}/", self._show_page),
                web.get(f"{prefix}/ws", self._run_app),
                web.static(f"{prefix}/static", STATIC),
            ]
        )
        app.on_shutdown.append(self._close_pages)
        return app

    @web.middleware  # type: ignore[untyped-decorator]
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse each request whose path does not begin with the token, before anything else happens."""
        given = request.path.split("/")[1] if request.path.startswith("/") else ""
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode()):
            return web.Response(status=403, text=REFUSED, headers=HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _show_page(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._page, content_type="text/html")

    async def _run_app(self, request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await websocket.prepare(request)
        self._open.add(websocket)
        process = PageProcess(self._arguments, websocket)
        try:
            await process.start(
                _size(request.query.get("width"), 80, MOST_COLUMNS),
                _size(request.query.get("height"), 24, MOST_LINES),
            )
            async for message in websocket:
                if message.type == WSMsgType.TEXT:
                    await _pass_on(message.data, websocket, process)
        finally:
            self._open.discard(websocket)
            await process.end()
        return websocket

    async def _close_pages(self, _app: web.Application) -> None:
        await asyncio.gather(*(page.close() for page in list(self._open)), return_exceptions=True)


async def _pass_on(text: str, websocket: web.WebSocketResponse, process: PageProcess) -> None:
    """Pass a message of the page to the app. A message with an unknown form is ignored."""
    try:
        kind, *rest = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return
    match kind, rest:
        case "stdin", [str(keys)]:
            await process.send_bytes(keys.encode("utf-8", "replace"))
        case "resize", [{"width": int(width), "height": int(height)}]:
            await process.set_terminal_size(_size(width, 80, MOST_COLUMNS), _size(height, 24, MOST_LINES))
        case "ping", [data]:
            await websocket.send_json(["pong", data])
        case "blur", _:
            await process.blur()
        case "focus", _:
            await process.focus()


def _size(value: object, default: int, most: int) -> int:
    try:
        return min(max(int(str(value)), 1), most)
    except ValueError:
        return default


def serve_pages(server: PageServer, opened: socket.socket, say: Say) -> None:
    """Serve until ctrl+c or SIGTERM. `say` is called with the link when the page can be opened."""
    asyncio.run(_serve(server, opened, say))


async def _serve(server: PageServer, opened: socket.socket, say: Say) -> None:
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=2 * PATIENCE_S)
    await runner.setup()
    await web.SockSite(runner, opened).start()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    host, port = opened.getsockname()[:2]
    say(link(host, port, server.token))
    try:
        await stopped.wait()
    finally:
        await runner.cleanup()


def app_command(folder: Path | None, low_bandwidth: bool) -> list[str]:
    """The command that runs the app behind a page."""
    options = ["--low-bandwidth"] if low_bandwidth else []
    return [sys.executable, "-m", "faq_tui", *([str(folder)] if folder else []), *options]
