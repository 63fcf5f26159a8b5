"""The scatter in a widget of its own: drawn on a daemon thread, one at a time, the newest wish last."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rich.text import Text
from textual.message import Message

from faq_tui.tui.panes.evidence_found import LoadedEvidence
from faq_tui.tui.panes.evidence_scatter import drawing
from faq_tui.tui.widgets.text import LiteralText

Wish = tuple[LoadedEvidence, int, int]  # what to draw, and in which size


class ScatterBox(LiteralText):
    @dataclass
    class Plotted(Message):
        of: Wish
        text: str

    def __init__(self) -> None:
        super().__init__(id="evidence-scatter")
        self._found = LoadedEvidence()
        self._asked: Wish | None = None
        self._drawn: Wish | None = None
        self._lock = threading.Lock()
        self._working = False

    @property
    def busy(self) -> bool:
        return self._asked != self._drawn

    def show_found(self, found: LoadedEvidence) -> None:
        self._found = found
        self.call_after_refresh(self._ask)

    def on_resize(self) -> None:
        self._ask()

    def _ask(self) -> None:
        wish = (self._found, self.content_size.width, self.content_size.height)
        if self._found.evidence is None or not all(wish[1:]) or wish == self._asked:
            return
        with self._lock:
            self._asked = wish
            if self._working:
                return
            self._working = True
        threading.Thread(target=self._work, name="scatter", daemon=True).start()

    def _work(self) -> None:
        done: Wish | None = None
        while True:
            with self._lock:
                wish = self._asked
                if wish is None or wish == done:
                    self._working = False
                    return
            text = drawing(*wish)
            done = wish
            self.post_message(self.Plotted(wish, text))

    def on_scatter_box_plotted(self, event: Plotted) -> None:
        event.stop()
        self._drawn = event.of
        self.show(Text.from_ansi(event.text, no_wrap=True))
