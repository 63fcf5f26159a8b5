"""Writes of the screen: a person waits for a moment only, where a job's long transaction holds the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from faq_tui.core.errors import FaqError
from faq_tui.core.store.database import Store

PATIENCE_MS = 300


@contextmanager
def hurried(store: Store) -> Iterator[None]:
    """Raises FaqError if the database stays locked."""
    before = store.db.execute("PRAGMA busy_timeout").fetchone()[0]
    store.db.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) and "busy" not in str(error):
            raise
        raise FaqError("the running job is writing to the database: nothing was changed, try again") from None
    finally:
        store.db.execute(f"PRAGMA busy_timeout = {int(before)}")
