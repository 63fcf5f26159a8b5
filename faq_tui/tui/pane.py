"""The base class of panes, and the spec that describes a pane before it is opened."""

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

ZOOMED = "zoomed"  # the layout of a pane in which one part fills the pane


@dataclass(frozen=True)
class PaneSpec:
    """The data that the app needs before it opens a pane.

    Tabs, digit keys, footer, help screen, palette and docs/keys.md use this data.
    """

    scope: str  # the id of the pane's widget; the ids of the pane's actions begin with the scope
    title: str  # the text on the tab
    digit: int  # the number of the pane; for example, the keys 6, ctrl+6 and f6 show the pane with the number 6
    help: str  # one sentence that describes what the pane shows
    path: str  # "module:class" of the Pane; the module is imported when the app opens
    actions: tuple[Action, ...]

    def load(self) -> type[Pane]:
        """Import the class of the pane."""
        return cast("type[Pane]", load_object(self.path))


class Pane(Container, can_focus=True):
    """A container that reads the store when it is shown, and the live state while it is visible.

    The UI thread opens `run` and is the only thread that uses it. Jobs write to the same database from their own
    process. The visible pane itself has the focus, so that its keys work. Widgets inside the pane never get the
    focus. A widget would be redrawn whenever it gets or loses the focus. If an action raises FaqError, the app shows
    the error in a notification.
    """

    BLANK = True  # widgets cover the whole pane, so Textual need not draw its background
    SPEC: ClassVar[PaneSpec]

    @dataclass
    class StartJob(Message):
        """The pane asks the app to run stages in a job. The app refuses if a job is already running."""

        only: str | None = None
        until: str | None = None

    @dataclass
    class StopJob(Message):
        """The pane asks the app to stop the running job at its next safe point."""

    @dataclass
    class Exported(Message):
        """An export thread of the pane has ended. `message` names the files or the reason for a failure."""

        message: str
        failed: bool = False

    def __init__(self, run: Run) -> None:
        super().__init__(id=self.SPEC.scope)
        self.run = run
        self.late = False  # True if a change came too soon after a read, so that `tick` must be called again
        self._waits: LiveState | None = None  # the state to show as soon as the pane is mounted

    @property
    def room(self) -> Size:
        """The size of the pane.

        A hidden pane returns the size that it will have on the screen. With this size, the pane needs only one layout
        when it is shown.
        """
        if self.size or not isinstance(self.parent, Widget):
            return self.size
        return self.parent.size

    def open(self, live: LiveState) -> None:
        """Call `shown` as soon as the widgets of the pane are mounted.

        The app calls this method for the first pane before its widgets are mounted.
        """
        if self.is_mounted:
            self.shown(live)
        else:
            self._waits = live

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Do nothing.

        Textual's own method updates the styles of all inner widgets. Here no style depends on the focus.
        """

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Draw only the given regions. Without regions, draw nothing, because widgets cover the whole pane."""
        return super().refresh(*regions, repaint=repaint and bool(regions), layout=layout, recompose=recompose)

    def on_mount(self) -> None:
        if self._waits is not None:
            self.shown(self._waits)
            self._waits = None

    def on_pane_exported(self, event: Exported) -> None:
        event.stop()
        self.notify(sanitize(event.message), severity="error" if event.failed else "information", markup=False)

    def use_run(self, run: Run) -> None:
        """Use the run with other settings, because `faq.toml` has changed. The app then calls `shown`."""
        self.run = run

    def shown(self, live: LiveState) -> None:
        """Read the data to show. The app calls this method when the pane becomes visible."""

    def tick(self, live: LiveState) -> None:
        """Redraw the parts that have changed (see `live.version`) and the elapsed times.

        The app calls this method at most ten times per second, and only while the pane is visible.
        """

    @property
    def arrangement(self) -> str:
        """The layout that the user chose, which the app remembers; "" for the usual layout."""
        return ZOOMED if self.has_class("-zoom") else ""

    def use_arrangement(self, layout: str) -> None:
        """Restore the remembered layout before the pane is shown. An unknown layout changes nothing."""
        self.set_class(layout == ZOOMED, "-zoom")

    def is_in_footer(self, action: str) -> bool:  # noqa: ARG002
        """A subclass returns False for an action that the footer must not show. The key of the action still works."""
        return True

    def text_to_copy(self) -> str | None:
        """The text that the key `y` copies. If it is None, the key copies the text of the focused widget."""
        return None
