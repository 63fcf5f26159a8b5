"""The base class of a pane, and the spec by which the app lists a pane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self, cast

from textual.containers import Container
from textual.geometry import Region, Size
from textual.message import Message
from textual.widget import Widget

from faq_tui.core.base.text import sanitize
from faq_tui.core.extensions.registry import load_object
from faq_tui.core.run.run import Run
from faq_tui.tui.actions import Action
from faq_tui.tui.live import LiveState


@dataclass(frozen=True)
class PaneSpec:
    """What the app must know of a pane before it opens it.

    Tab, digit key, footer, help screen, palette and docs/keys.md follow from it.
    """

    scope: str  # the first part of its actions' ids, and the id of its widget
    title: str  # on the tab
    digit: int  # the key that shows the pane, also with ctrl
    help: str  # one sentence on what the key shows
    path: str  # "module:class" of the Pane, which is loaded when the app opens
    actions: tuple[Action, ...]

    def load(self) -> type[Pane]:
        """The class of the pane."""
        return cast("type[Pane]", load_object(self.path))


class Pane(Container, can_focus=True):
    """A container that reads the store when it is shown, and the live state while it is visible.

    `run` is opened by and for the UI thread; jobs write to the same database from their own process.

    The pane has the focus itself while it is shown, so that its keys work and no widget is drawn again for the focus.
    A FaqError that an action raises is shown to the person in a notification.
    """

    BLANK = True  # its widgets cover it: Textual need not draw its lines first
    SPEC: ClassVar[PaneSpec]

    @dataclass
    class StartJob(Message):
        """The pane asks the app to run stages in a job. The app refuses if a job is running already."""

        only: str | None = None
        until: str | None = None

    @dataclass
    class StopJob(Message):
        """The pane asks the app to stop the running job at its next safe point."""

    @dataclass
    class Exported(Message):
        """A thread of the pane has ended an export. `message` names the files, or says why it failed."""

        message: str
        failed: bool = False

    def __init__(self, run: Run) -> None:
        super().__init__(id=self.SPEC.scope)
        self.run = run
        self._waits: LiveState | None = None  # to be shown

    @property
    def room(self) -> Size:
        """The size of the pane; while it is hidden, the size that it will have, so that it is laid out only once."""
        if self.size or not isinstance(self.parent, Widget):
            return self.size
        return self.parent.size

    def open(self, live: LiveState) -> None:
        """Call `shown` as soon as the pane's widgets are mounted: the first pane is opened before that."""
        if self.is_mounted:
            self.shown(live)
        else:
            self._waits = live

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Skip Textual's update of the styles inside: none depends on the focus."""

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Draw the given regions only: without one there is nothing to draw, since the pane's widgets cover it."""
        return super().refresh(*regions, repaint=repaint and bool(regions), layout=layout, recompose=recompose)

    def on_mount(self) -> None:
        if self._waits is not None:
            self.shown(self._waits)
            self._waits = None

    def on_pane_exported(self, event: Exported) -> None:
        event.stop()
        self.notify(sanitize(event.message), severity="error" if event.failed else "information", markup=False)

    def shown(self, live: LiveState) -> None:
        """The pane became visible: read what it shows."""

    def tick(self, live: LiveState) -> None:
        """Draw what changed (`live.version`), and times. Called at most ten times a second, only while visible."""

    def text_to_copy(self) -> str | None:
        """The text that `y` copies; None to copy the text of the focused widget."""
        return None
