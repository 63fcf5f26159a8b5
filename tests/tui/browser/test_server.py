"""`faq-tui serve`: who may see the page, what the page shows, and that no process is left."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.tui.browser.server import is_loopback
from tests.support.served_app import all_gone, connected, served_app
from tests.support.shell import refused


async def status_and_text(link: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(link, allow_redirects=False) as reply:
        return reply.status, await reply.text(errors="replace")


async def test_without_the_token_nothing_is_served(folder: Path) -> None:
    with served_app(folder) as served:
        where = urlsplit(served.link)
        token = where.path.strip("/")
        assert len(token) >= 32
        root = f"http://{where.netloc}/"
        wrong = ("", token[:-1], token + "a", token.swapcase(), "x" * 5000, "%C3%A9", "%00", "static", f"x/{token}")
        for given in wrong:
            for path in ("", "/", "/ws", "/ws?width=80&height=24", "/static/js/textual.js", f"/../{token}x/"):
                assert await status_and_text(f"{root}{given}{path}") == (
                    403,
                    "This link has no valid token. Copy the whole link that `faq-tui serve` printed.\n",
                ), given + path
        for link in (f"{root}ws", f"{root}{token[:-1]}x/ws"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                async with connected(link.removesuffix("ws")):
                    pass
            assert refusal.value.status == 403
        assert not served.apps(), "a refused page starts no app"

        status, page = await status_and_text(served.link)
        assert status == 200
        assert f"<title>faq-tui {folder.name}</title>" in page
        assert "://" not in page, "the page loads nothing from elsewhere"
        assert (await status_and_text(f"{served.link}static/js/textual.js"))[0] == 200
        assert (await status_and_text(f"{served.link}static/../server.py"))[0] in (403, 404)
        assert not served.apps(), "the app starts with the page's connection"


async def test_the_page_shows_runs_and_home_like_a_terminal(folder: Path) -> None:
    with served_app(folder, EDITOR="true") as served:
        async with connected(served.link) as page:
            await page.wait_to_see("Nothing is running")
            await page.press("5")
            await page.wait_to_see("artefacts done")
            for nonsense in ("", "{", "[]", "7", '["resize"]', '["resize", {"width": "x"}]', '["stdin", 5]', "[[]]"):
                await page.send_text(nonsense)
            await page.send_text("[" * 100_000)
            await page.send("resize", {"width": 130, "height": 40})
            page.screen.resize(130, 40)
            await page.press("E")  # there is no terminal for an editor
            await page.wait_to_see("cannot be handed to an editor")
            await page.press("H")
            await page.wait_to_see("enter Open")
            await page.press("\r")
            await page.wait_to_see("Nothing is running")
            await page.press("q")
            apps = served.apps()
            await page.wait_to_close()
        assert all_gone(apps)
        async with connected(served.link) as page:  # the page can be opened again
            await page.wait_to_see("Nothing is running")


@pytest.mark.parametrize("how", ["page", "ctrl+c", "SIGTERM", "SIGKILL"])
async def test_no_process_is_left(folder: Path, how: str) -> None:
    with served_app(folder) as served:
        async with connected(served.link) as page:
            await page.wait_to_see("Nothing is running")
            apps = served.apps()
            assert apps
            if how == "ctrl+c":
                code, err = served.end()
                assert (code, err.splitlines()[-1]) == (ExitCode.DONE, "faq-tui: the server has stopped")
            elif how != "page":
                served.end(signal.Signals[how])
        assert all_gone(apps)


def test_only_this_machine_unless_the_user_names_another_address(folder: Path) -> None:
    with served_app(folder) as served:
        assert urlsplit(served.link).hostname == "127.0.0.1"
        assert "warning" not in served.end()[1]
    with served_app(folder, "--host", "0.0.0.0") as served:
        assert "faq-tui: warning: everyone who can reach 0.0.0.0 and has the link" in served.end()[1]
    for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost"):
        assert is_loopback(host), host
    for host in ("0.0.0.0", "::", "192.168.0.7", "localhost.example.org", ""):
        assert not is_loopback(host), host


def test_errors_appear_before_the_link(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no run folder at" in refused(ExitCode.USAGE, "serve", tmp_path / "none")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refused(ExitCode.FAILED, "serve", folder, "--port", str(port))
        assert sentence.startswith(f"cannot serve on 127.0.0.1 port {port} (")
        assert sentence.endswith("choose another --port or --host")
        monkeypatch.delitem(sys.modules, "faq_tui.tui.browser.server")
        monkeypatch.delattr("faq_tui.tui.browser.server")
        monkeypatch.setitem(sys.modules, "textual_serve", None)
        sentence = refused(ExitCode.USAGE, "serve", folder, "--port", str(port))
        assert sentence.endswith("package textual-serve: install it with `pip install 'faq-tui[browser]'`")
