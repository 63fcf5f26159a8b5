"""The totals of a source, counted on a thread: they need every candidate's row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App

from faq_tui.core.store import candidate_pages as queries
from faq_tui.core.store.candidate_pages import Totals


def count_totals(app: App[Any], path: Path, source_hash: str, on_totals: Callable[[Totals], None]) -> None:
    """Returns at once; `on_totals` is called on the UI's thread, or never if the count fails."""

    def count() -> None:
        try:
            app.call_from_thread(on_totals, queries.totals(path, source_hash))
        except Exception:  # noqa: BLE001  the figures stay away; the app may be closing
            return

    threading.Thread(target=count, name="totals", daemon=True).start()
