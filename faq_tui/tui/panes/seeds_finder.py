"""Looking for seeds on a thread of its own: the first finds are shown at once, a newer search ends an older one."""

from __future__ import annotations

import sqlite3
import threading
import time
from array import array
from dataclasses import dataclass

from textual.message import Message
from textual.widget import Widget

from faq_tui.core.store import Store, browse
from faq_tui.core.store.browse import SeedFilter, View
from faq_tui.core.store.hurry import reader

TELL_EVERY_S = 0.05


@dataclass
class Facts(Message):
    """What is known of all seeds together."""

    total: int
    dense: bool
    categories: list[str]
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
        began = told = time.monotonic()
        waiting = array("I")
        try:
            with reader(self._store) as db:
                with self._lock:
                    if number != self._number:
                        return
                    self._connection = db
                first = True
                for batch in browse.matches(db, view, wanted):
                    waiting.extend(batch)
                    now = time.monotonic()
                    if number != self._number:
                        return
                    if first or now - told >= TELL_EVERY_S:
                        self._tell(Found(number, waiting, False, now - began))
                        waiting, told, first = array("I"), now, False
                with self._lock:
                    if self._connection is db:
                        self._connection = None
        except sqlite3.OperationalError:
            if number != self._number:
                return  # interrupted
        self._tell(Found(number, waiting, True, time.monotonic() - began))

    def _facts(self) -> None:
        try:
            with reader(self._store) as db:
                count = browse.total(db)
                dense = browse.is_dense(db, count)
                self._tell(Facts(count, dense, browse.categories(db), browse.tags(db), browse.roles(db)))
        except sqlite3.OperationalError:
            return  # the next look will tell

    def _tell(self, message: Message) -> None:
        try:
            self._widget.post_message(message)
        except RuntimeError:
            return  # the app has ended
