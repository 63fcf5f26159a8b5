"""The app: header, panes, footer; every action of the scope `app`."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import ContentSwitcher, Footer

from faq_tui.core.run import open_run
from faq_tui.tui import app_actions
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.live import LiveState
from faq_tui.tui.pane import Pane

PANES = {"seeds": "SeedsPane", "regenerate": "RegeneratePane", "judge": "JudgePane", "quantize": "QuantizePane"}


class FaqApp(App[None]):
    """One run, opened for the UI thread."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(app_actions.ACTIONS)]
    CSS = "ContentSwitcher { height: 1fr; } ContentSwitcher > Container { height: 100%; }"

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._resources = ExitStack()
        self.run_ = self._resources.enter_context(open_run(folder))
        self.clock = clock
        self.live = LiveState()
        self._drawn = -1
        self.panes: dict[str, Pane] = {}
        for scope, name in PANES.items():
            try:
                self.panes[scope] = getattr(importlib.import_module(f"faq_tui.tui.panes.{scope}"), name)(self.run_)
            except (ImportError, AttributeError):
                self.panes[scope] = Pane(self.run_)
                self.panes[scope]._id = None  # noqa: SLF001
                self.panes[scope].id = scope

    def compose(self) -> ComposeResult:
        yield Horizontal()
        with ContentSwitcher(initial="seeds"):
            yield from self.panes.values()
        yield Footer()

    def on_mount(self) -> None:
        self.show_pane("seeds")
        self.set_interval(0.1, self._pump)

    @property
    def pane(self) -> Pane:
        return self.panes[self.query_one(ContentSwitcher).current or "seeds"]

    def show_pane(self, scope: str) -> None:
        self.query_one(ContentSwitcher).current = scope
        pane = self.panes[scope]
        pane.shown(self.live)
        inside = [w for w in pane.query("*") if w.focusable]
        if not inside:
            pane.can_focus = True
        (inside or [pane])[0].focus()

    def _pump(self) -> None:
        if self.live.version != self._drawn:
            self._drawn = self.live.version
            self.pane.tick(self.live)

    def action_show_seeds(self) -> None:
        self.show_pane("seeds")

    def action_show_regenerate(self) -> None:
        self.show_pane("regenerate")

    def action_show_judge(self) -> None:
        self.show_pane("judge")

    def action_show_quantize(self) -> None:
        self.show_pane("quantize")
