"""Search the seeds on a thread. The first matches are posted at once. A new search ends the previous search."""

from __future__ import annotations

import sqlite3
import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from textual.message import Message
from textual.widget import Widget

from faq_tui.core.base.errors import FaqError
from faq_tui.core.store import Store, seed_pages
from faq_tui.core.store.seed_pages import SeedFilter, View
from faq_tui.core.store.seeds import skips

POST_EVERY_S = 0.05


@dataclass
class SeedFacts(Message):
    """The number of all seeds, and the names of their categories, files and tags."""

    total: int
    dense: bool
    categories: list[str]
    files: list[str]
    tags: list[str]
    roles: dict[str, int]
    # Maps each reason to the number of rows of the seed file that were skipped for this reason.
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass
class SeedsFound(Message):
    """More matches of the search `number`, in file order."""

    number: int
    positions: array[int]
    done: bool
    seconds: float


class Finder:
    """Searches and counts on threads, and posts SeedsFound and SeedFacts to `widget`."""

    def __init__(self, widget: Widget, store: Store) -> None:
        self._widget, self._store = widget, store
        self._number = 0
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def search(self, view: View, seed_filter: SeedFilter) -> int:
        """Start a search, and return its number."""
        self.stop()
        number = self._number
        threading.Thread(target=self._search, args=(number, view, seed_filter), name="search", daemon=True).start()
        return number

    def stop(self) -> None:
        """End the running search."""
        with self._lock:
            self._number += 1
            if self._connection is not None:
                self._connection.interrupt()

    def facts(self) -> None:
        """Start to count all seeds."""
        threading.Thread(target=self._facts, name="facts", daemon=True).start()

    # The following methods run on the threads.

    def _search(self, number: int, view: View, seed_filter: SeedFilter) -> None:
        began = time.monotonic()
        try:
            with closing(Store(self._store.path, read_only=True).db) as db, self._interruptible(number, db):
                self._post_matches(number, seed_pages.matches(db, view, seed_filter), began)
        except (FaqError, sqlite3.OperationalError):
            pass  # the search was interrupted, or the database cannot be read; keep the matches found so far
        if number == self._number:
            self._post(SeedsFound(number, array("I"), True, time.monotonic() - began))

    def _post_matches(self, number: int, batches: Iterable[list[int]], began: float) -> None:
        """Post the first matches at once. Collect the later matches, and post them in groups."""
        waiting, posted_at = array("I"), -POST_EVERY_S
        for batch in batches:
            waiting.extend(batch)
            now = time.monotonic()
            if number != self._number:
                return
            if now - posted_at >= POST_EVERY_S:
                self._post(SeedsFound(number, waiting, False, now - began))
                waiting, posted_at = array("I"), now
        self._post(SeedsFound(number, waiting, False, time.monotonic() - began))

    @contextmanager
    def _interruptible(self, number: int, db: sqlite3.Connection) -> Iterator[None]:
        """While this context is open, `stop` can interrupt the queries of the connection `db`."""
        with self._lock:
            if number != self._number:
                raise sqlite3.OperationalError("interrupted")
            self._connection = db
        try:
            yield
        finally:
            with self._lock:
                if self._connection is db:
                    self._connection = None

    def _facts(self) -> None:
        try:
            with closing(Store(self._store.path, read_only=True).db) as db:
                count = seed_pages.total(db)
                dense = seed_pages.is_dense(db, count)
                names = seed_pages.categories(db), seed_pages.origins(db), seed_pages.tags(db)
                self._post(SeedFacts(count, dense, *names, seed_pages.roles(db), skips(db)))
        except (FaqError, sqlite3.OperationalError):
            return  # post no counts now; the next call counts again

    def _post(self, message: Message) -> None:
        try:
            self._widget.post_message(message)
        except RuntimeError:
            return  # the app has ended
