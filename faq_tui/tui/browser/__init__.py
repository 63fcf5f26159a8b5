"""The app in a web browser: a server for the page, and the driver of the app behind each page."""

from __future__ import annotations

import os

DRIVER = "faq_tui.tui.browser.driver:BrowserDriver"


def behind_page() -> bool:
    """True if the server started this process for a page. Textual then uses `DRIVER`."""
    return os.environ.get("TEXTUAL_DRIVER") == DRIVER
