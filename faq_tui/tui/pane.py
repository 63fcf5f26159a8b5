"""What a pane is: a container that reads the store when it is shown and live state while it is visible."""

from __future__ import annotations

from typing import ClassVar

from textual.containers import Container

from faq_tui.core.run import Run
from faq_tui.tui.live import LiveState


class Pane(Container):
    """`run` is opened by and for the UI thread; jobs write to the same database from their own process."""

    SCOPE: ClassVar[str] = "pane"  # of its actions, and its id in the switcher

    def __init__(self, run: Run) -> None:
        super().__init__(id=self.SCOPE)
        self.run = run

    def shown(self, live: LiveState) -> None:
        """The pane became visible: read what it shows."""

    def tick(self, live: LiveState) -> None:
        """At most ten times a second while visible and something has changed: draw what changed."""
