"""What a pane is: a container that reads the store when it is shown and live state while it is visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from textual.containers import Container
from textual.geometry import Region, Size
from textual.message import Message
from textual.widget import Widget

from faq_tui.core.run.run import Run
from faq_tui.tui.live import LiveState


class Pane(Container, can_focus=True):
    """`run` is opened by and for the UI thread; jobs write to the same database from their own process.

    It has the focus itself while it is shown: its keys are heard, and no widget is drawn anew for that.
    A FaqError that an action raises is shown to the person in a notification.
    """

    BLANK = True  # its widgets cover it: Textual need not draw its lines first
    SCOPE: ClassVar[str] = "pane"  # of its actions, and its id in the switcher

    @dataclass
    class StartJob(Message):
        """The pane asks the app to run stages in a job; the app says so if one is running already."""

        only: str | None = None
        until: str | None = None

    @dataclass
    class StopJob(Message):
        """The pane asks the app to stop the running job at its next safe point."""

    def __init__(self, run: Run) -> None:
        super().__init__(id=self.SCOPE)
        self.run = run
        self._waits: LiveState | None = None  # to be shown

    @property
    def room(self) -> Size:
        """Its size; while it is hidden, the one that it will have: laid out for another, it would be drawn twice."""
        if self.size or not isinstance(self.parent, Widget):
            return self.size
        return self.parent.size

    def open(self, live: LiveState) -> None:
        """Call `shown`, as soon as the pane's widgets are there: the first pane is asked for before."""
        if self.is_mounted:
            self.shown(live)
        else:
            self._waits = live

    def watch_has_focus(self, _has_focus: bool) -> None:
        """In place of Textual's search for new styles of everything inside: none depends on the focus."""

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """It has no cells of its own: where no region is named, its widgets are drawn by their own wish only."""
        return super().refresh(*regions, repaint=repaint and bool(regions), layout=layout, recompose=recompose)

    def on_mount(self) -> None:
        if self._waits is not None:
            self.shown(self._waits)
            self._waits = None

    def shown(self, live: LiveState) -> None:
        """The pane became visible: read what it shows."""

    def tick(self, live: LiveState) -> None:
        """At most ten times a second while visible: draw what changed (`live.version`), or tells the time."""

    def text_to_copy(self) -> str | None:
        """What `y` copies; None for the text of the focused widget."""
        return None
