"""Looking for seeds on a thread of its own: the first finds are shown at once, a newer search ends an older one."""

from __future__ import annotations

import sqlite3
import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from textual.message import Message
from textual.widget import Widget

from faq_tui.core.base.errors import FaqError
from faq_tui.core.store import Store, seed_pages
from faq_tui.core.store.seed_pages import SeedFilter, View

TELL_EVERY_S = 0.05


@dataclass
class Facts(Message):
    """What is known of all seeds together."""

    total: int
    dense: bool
    categories: list[str]
    files: list[str]
    tags: list[str]
    roles: dict[str, int]


@dataclass
class Found(Message):
    """Further matches of search `number`, in file order."""

    number: int
    positions: array[int]
    done: bool
    seconds: float


class Finder:
    """Messages go to `widget`."""

    def __init__(self, widget: Widget, store: Store) -> None:
        self._widget, self._store = widget, store
        self._number = 0
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def search(self, view: View, wanted: SeedFilter) -> int:
        """Begin a search; returns its number."""
        self.stop()
        number = self._number
        threading.Thread(target=self._search, args=(number, view, wanted), name="search", daemon=True).start()
        return number

    def stop(self) -> None:
        """End the search that runs."""
        with self._lock:
            self._number += 1
            if self._connection is not None:
                self._connection.interrupt()

    def facts(self) -> None:
        """Begin to count."""
        threading.Thread(target=self._facts, name="facts", daemon=True).start()

    # On threads of their own.

    def _search(self, number: int, view: View, wanted: SeedFilter) -> None:
        began = time.monotonic()
        try:
            with closing(Store(self._store.path, read_only=True).db) as db, self._interruptible(number, db):
                self._tell_finds(number, seed_pages.matches(db, view, wanted), began)
        except (FaqError, sqlite3.OperationalError):
            pass  # interrupted, or a database that cannot be read now: what was found stands
        if number == self._number:
            self._tell(Found(number, array("I"), True, time.monotonic() - began))

    def _tell_finds(self, number: int, batches: Iterable[list[int]], began: float) -> None:
        """At once the first time, then some together."""
        waiting, told = array("I"), -TELL_EVERY_S
        for batch in batches:
            waiting.extend(batch)
            now = time.monotonic()
            if number != self._number:
                return
            if now - told >= TELL_EVERY_S:
                self._tell(Found(number, waiting, False, now - began))
                waiting, told = array("I"), now
        self._tell(Found(number, waiting, False, time.monotonic() - began))

    @contextmanager
    def _interruptible(self, number: int, db: sqlite3.Connection) -> Iterator[None]:
        """Meanwhile `stop` may interrupt this connection; never once it is closed."""
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
                self._tell(Facts(count, dense, *names, seed_pages.roles(db)))
        except (FaqError, sqlite3.OperationalError):
            return  # the next look will tell

    def _tell(self, message: Message) -> None:
        try:
            self._widget.post_message(message)
        except RuntimeError:
            return  # the app has ended
