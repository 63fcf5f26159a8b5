"""The app in a real browser: headless Chromium shows it, and passes keys, clicks and its size on."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.chromium import CHROMIUM, browser_page
from tests.support.served_app import all_gone, served_app

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


async def test_the_app_works_in_chromium(folder: Path, tmp_path: Path) -> None:
    with served_app(folder) as served:
        async with browser_page(tmp_path / "profile") as page:
            blank = await page.picture()
            await page.call("Page.navigate", url=served.link)
            await page.wait_to_see("Nothing is running")
            assert await page.script("document.title") == f"faq-tui {folder.name}"
            assert {urlsplit(address).netloc for address in page.requests} == {urlsplit(served.link).netloc}
            assert all(urlsplit(served.link).path in address for address in page.requests)

            await page.press("5")  # without a click before it
            await page.wait_to_see("artefacts done")
            await page.click(250, 28)  # the tab of the pane Judge
            await page.wait_to_see("no overrides yet")
            assert len(await page.picture()) > 4 * len(blank), "the page is drawn, not empty"

            await page.press("?")
            await page.wait_to_see("Choose candidate 1.")
            await page.press("q")
            await page.press("q")
            apps = served.apps()
            while "-closed" not in await page.script("document.body.className"):
                pass
            assert "The app has ended" in await page.script("document.body.innerText")
            assert all_gone(apps)
            await page.script("document.querySelector('button').click()")
            await page.wait_to_see("Nothing is running")
        assert all_gone(served.apps()), "a closed window ends the app"
