"""A small app round one pane, with the rows that the shell takes, and a frozen clock."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer

from faq_tui.core.run.events import Event
from faq_tui.tui.live import LiveState
from faq_tui.tui.pane import Pane
from faq_tui.tui.widgets.text import LiteralText

NOW = 1_800_000_000.0


class PaneHost(App[None]):
    CSS = "Screen { layout: vertical; } .row { height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = []
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, pane: Pane) -> None:
        super().__init__()
        self.pane = pane
        self.live = LiveState()
        self.now = NOW
        self.started: list[Pane.StartJob] = []
        self.stopped = 0

    def clock(self) -> float:
        return self.now

    def compose(self) -> ComposeResult:
        yield LiteralText("header", classes="row")
        yield LiteralText("machine", classes="row")
        yield self.pane
        yield LiteralText("job", classes="row")
        yield Footer()

    def on_mount(self) -> None:
        self.pane.shown(self.live)
        self.pane.focus()

    def hear(self, *events: Event, at: float | None = None) -> None:
        for event in events:
            self.live.apply(event, self.now if at is None else at)
        self.pane.tick(self.live)

    def on_pane_start_job(self, message: Pane.StartJob) -> None:
        self.started.append(message)

    def on_pane_stop_job(self, _message: Pane.StopJob) -> None:
        self.stopped += 1

    @property
    def screen_text(self) -> str:
        """What is on the screen, without colours."""
        height = self.size.height
        strips: Any = self.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips[:height])
