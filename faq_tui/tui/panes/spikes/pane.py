"""The Spikes pane: the target's activation spikes on each calibration set."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from faq_tui.core.activations.compare import SetComparison
from faq_tui.core.activations.statistics import METRICS
from faq_tui.core.activations.view import Overview, compare_sets, export, overview
from faq_tui.core.base.errors import FaqError
from faq_tui.core.run.run import Run
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.live import LiveState
from faq_tui.tui.pane import Pane
from faq_tui.tui.panes.spikes.drawing import BOTH_HEIGHT, drawing
from faq_tui.tui.panes.spikes.spec import SPIKES
from faq_tui.tui.panes.spikes.view_state import VIEWS, SpikesViewState
from faq_tui.tui.widgets.drawing import DrawingView, strips_of
from faq_tui.tui.widgets.text import LiteralText

NARROW = 110  # width of the pane in cells below which the sentence above the drawing gets three lines
LOW = 12  # height of the pane in lines below which the sentence is hidden, so that the drawing has more lines
NOTHING = (
    "No activations yet. The stage activations, which follows assemble, runs each\n"
    "calibration set through the target once. [activations] in faq.toml selects\n"
    "the modules to measure."
)


class Drawing(DrawingView):
    """The widget with the drawing. When the widget's size changes, the drawing is made again."""

    class Resized(Message):
        """The widget has another size."""

    def on_resize(self) -> None:
        self.post_message(self.Resized())


class SpikesPane(Pane):
    """The pane Spikes. A daemon thread draws the figures from faq.db and activations/*.safetensors."""

    SPEC = SPIKES
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(SPIKES.actions)]
    DEFAULT_CSS = (Path(__file__).parent / "spikes.tcss").read_text(encoding="utf-8")

    @dataclass
    class Drawn(Message):
        """The drawing for a view state, from the drawing thread."""

        view_state: SpikesViewState
        seen: Overview
        strips: list[Strip]
        sentence: str

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.seen = Overview()
        self.view_state = SpikesViewState()
        self.drawn: SpikesViewState | None = None  # the view state on the screen
        self._shown: tuple[Overview, SpikesViewState] | None = None  # the last request
        self._stage: object = None
        self._pending: tuple[Overview, SpikesViewState] | None = None
        self._busy = threading.Event()
        self._lock = threading.Lock()
        self._compared: tuple[Overview, tuple[str, str, str], SetComparison] | None = None  # the last comparison

    def compose(self) -> ComposeResult:
        yield LiteralText(id="spikes-sentence")
        yield Drawing(id="spikes-drawing")

    def shown(self, live: LiveState) -> None:
        del live
        self._see(overview(self.run))

    def tick(self, live: LiveState) -> None:
        stage = live.stage and (live.stage.stage, live.stage.state, live.stage.detail)
        if stage != self._stage:
            self._stage = stage
            fresh = overview(self.run)
            if fresh != self.seen:
                self._see(fresh)

    def _see(self, seen: Overview) -> None:
        self.seen = seen
        self.view_state = self.view_state.fitted(seen)  # a key may come before the next drawing
        self._arrange()
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self._arrange()
        self.call_after_refresh(self.draw)

    def _arrange(self) -> None:
        """Reserve a fixed height for the sentence.

        If the height changed with the sentence, the drawing would be made twice.
        """
        sentence = self.query_one("#spikes-sentence", LiteralText)
        sentence.display = bool(self.seen.sets) and self.room.height >= LOW
        sentence.styles.min_height = 3 if self.room.width < NARROW else 2

    def text_to_copy(self) -> str | None:
        """The table of metrics."""
        comparison = self._compare(self.seen, self.view_state) if self.seen.sets else None
        if comparison is None:
            return None
        rows = [f"metric\t{comparison.ours}\t{comparison.theirs}\tchange\tlow\thigh\thigher\tlayers\tp\tverdict"]
        for row in comparison.metrics:
            ends = (row.change.value, row.change.low, row.change.high)
            numbers = (row.ours, row.theirs, *ends, row.higher, row.layers, row.p)
            rows.append("\t".join([row.metric, *map(str, numbers), row.verdict]))
        return "\n".join([comparison.sentence, *rows])

    # The app's thread requests drawings. A daemon thread makes one drawing at a time and skips outdated requests.

    def draw(self) -> None:
        if not self.is_mounted:
            return
        box = self.query_one(Drawing)
        if not self.seen.sets:
            box.show(strips_of(NOTHING))
            self.drawn = self.view_state
            return
        size = box.content_size
        fitted = self.view_state.fitted(self.seen)
        self.view_state = replace(fitted, width=size.width, height=size.height, colours=self._has_colours())
        request = self.seen, self.view_state
        if size.width < 1 or request == self._shown:
            return
        self._shown = request
        with self._lock:
            self._pending = request
            if not self._busy.is_set():
                self._busy.set()
                threading.Thread(target=self._work, name="spikes", daemon=True).start()

    def on_drawing_resized(self, message: Drawing.Resized) -> None:
        message.stop()
        self.draw()

    def _has_colours(self) -> bool:
        """True if the terminal shows at least 256 colours, so that a map of pixels can be read."""
        return "NO_COLOR" not in os.environ and self.app.console.color_system in ("truecolor", "256")

    def _work(self) -> None:
        while True:
            with self._lock:
                request, self._pending = self._pending, None
                if request is None:
                    self._busy.clear()
                    return
            seen, view_state = request
            comparison = self._compare(seen, view_state)
            text = drawing(self.run, seen, view_state, comparison)
            sentence = comparison.sentence if comparison else ""
            self.post_message(self.Drawn(view_state, seen, strips_of(text), sentence))

    def _compare(self, seen: Overview, view_state: SpikesViewState) -> SetComparison | None:
        if view_state.left == view_state.right:
            return None
        sides = view_state.right, view_state.left, view_state.module
        last = self._compared
        if last is not None and last[0] is seen and last[1] == sides:
            return last[2]
        comparison = compare_sets(seen, *sides, self.run.settings.evaluate.bootstrap)
        self._compared = seen, sides, comparison
        return comparison

    def on_spikes_pane_drawn(self, event: Drawn) -> None:
        event.stop()
        self.drawn = event.view_state
        sentence = self.query_one("#spikes-sentence", LiteralText)
        sentence.show(event.sentence or f"{event.view_state.left}: there is no other set for a comparison.")
        self.query_one(Drawing).show(event.strips)

    # Actions.

    def _show(self, view_state: SpikesViewState) -> None:
        if self.seen.sets:
            self.view_state = view_state
            self.draw()

    def action_next_layer(self) -> None:
        self._move(1)

    def action_previous_layer(self) -> None:
        self._move(-1)

    def action_first_layer(self) -> None:
        self._move(-(10**6))

    def action_last_layer(self) -> None:
        self._move(10**6)

    def _move(self, by: int) -> None:
        if self.seen.sets:
            self._show(self.view_state.other_layer(self.seen, by))

    def action_highest(self) -> None:
        if self.seen.sets:
            self._show(self.view_state.highest_layer(self.seen))

    def action_difference(self) -> None:
        if self.seen.sets:
            self._show(self.view_state.at_difference(self.seen))

    def action_next_module(self) -> None:
        self._other_module(1)

    def action_previous_module(self) -> None:
        self._other_module(-1)

    def _other_module(self, by: int) -> None:
        if len(self.seen.modules) > 1:
            self._show(self.view_state.other_module(self.seen, by))
        elif self.seen.sets:
            self.notify(
                "Only one module is measured. To add others, set [activations] modules in faq.toml.", markup=False
            )

    def action_left_set(self) -> None:
        if self.seen.sets:
            self._show(self.view_state.next_set(self.seen, "left"))

    def action_right_set(self) -> None:
        if self.seen.sets:
            self._show(self.view_state.next_set(self.seen, "right"))

    def action_view(self) -> None:
        order = VIEWS[1:] if self.view_state.height >= BOTH_HEIGHT else VIEWS
        index = order.index(self.view_state.view) if self.view_state.view in order else 0
        self._show(replace(self.view_state, view=order[(index + 1) % len(order)]))

    def action_metric(self) -> None:
        index = METRICS.index(self.view_state.metric)
        self._show(replace(self.view_state, metric=METRICS[(index + 1) % len(METRICS)], view="layers"))

    def action_zoom_in(self) -> None:
        self._show(self.view_state.zoomed(2))

    def action_zoom_out(self) -> None:
        self._show(self.view_state.zoomed(0.5))

    def action_export(self) -> None:
        if not self.seen.sets:
            self.notify("There are no activations to export yet.")
            return
        threading.Thread(target=self._export, args=(self.seen, self.view_state), name="export", daemon=True).start()

    def _export(self, seen: Overview, view_state: SpikesViewState) -> None:
        try:
            paths = export(self.run, seen, view_state.module_ref, view_state.names)
            self.post_message(self.Exported(f"Wrote {', '.join(path.name for path in paths)} to {paths[0].parent}"))
        except (FaqError, OSError) as error:
            self.post_message(self.Exported(str(error), failed=True))
