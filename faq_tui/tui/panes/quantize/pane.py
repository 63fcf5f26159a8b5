"""The Quantize pane: the queue of artefacts, the loss of every layer and module, the curve of losses, and the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from faq_tui.core.artefact_queue import Queued, queue_of
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.log_tail import log_tail
from faq_tui.core.base.text import sanitize
from faq_tui.core.plots.curve import log_curve
from faq_tui.core.quantizing.loss_table import LossTable, from_manifest
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.run.run import Run
from faq_tui.core.run.server_record import live_servers
from faq_tui.core.settings import Settings, default_recipe, edit, load_settings
from faq_tui.core.status import is_busy
from faq_tui.core.store import stages
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.gpu import describe as describe_machine
from faq_tui.tui.live import LiveState
from faq_tui.tui.live_quantize import ArtefactLive
from faq_tui.tui.panes.quantize.artefact_actions import ArtefactActions
from faq_tui.tui.panes.quantize.loss_grid import LossGrid
from faq_tui.tui.panes.quantize.queue import ArtefactQueue, describe, figures
from faq_tui.tui.panes.quantize.spec import QUANTIZE
from faq_tui.tui.screens.choice import Answer, ChoiceScreen
from faq_tui.tui.screens.recipe import RecipeScreen
from faq_tui.tui.widgets.list import index_of
from faq_tui.tui.widgets.short import joined_with_dots
from faq_tui.tui.widgets.text import LiteralText

ALL_VIEWS_HEIGHT = 28  # minimum height of the pane in rows to show grid, curve and log together
SLOW_S = 1.0  # seconds between two updates of the figures and the log
VIEWS = ("grid", "curve", "log")
REMOVE, KEEP = "remove", "keep"


class QuantizePane(ArtefactActions):
    """The pane Quantize. Unfinished artefacts come from the live state, and finished ones from their manifests."""

    SPEC = QUANTIZE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(QUANTIZE.actions)]
    DEFAULT_CSS = (Path(__file__).parent / "quantize.tcss").read_text(encoding="utf-8")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.live = LiveState()
        self.queue: list[Queued] = []
        self.cursor = 0
        self.following = True
        self.view = "grid"
        self.problem = ""  # the reason why the queue cannot be read; "" if the queue was read
        self._read_for: object = None
        self._grids: dict[str, tuple[object, LossTable]] = {}
        self._curve_of: object = None
        self._slow_at = 0.0

    def compose(self) -> ComposeResult:
        yield LiteralText(id="figures")
        yield ArtefactQueue()
        with Vertical(id="grid-box"):
            yield LiteralText(classes="heading", id="grid-title")
            yield LossGrid(id="grid")
        with Horizontal(id="lower"):
            with Vertical(id="curve-box"):
                yield LiteralText("largest loss of each layer", classes="heading")
                yield LiteralText(id="curve")
            with Vertical(id="log-box"):
                yield LiteralText(classes="heading", id="log-title")
                yield LiteralText(id="log")

    def on_mount(self) -> None:
        # The import of the plot library takes 0.1 s or more, so start it before the first curve is needed.
        threading.Thread(target=__import__, args=("plotext",), name="plotext", daemon=True).start()

    @property
    def now(self) -> float:
        return float(getattr(self.app, "clock", time.time)())

    @property
    def current(self) -> Queued | None:
        return self.queue[self.cursor] if self.queue else None

    @property
    def running(self) -> ArtefactLive | None:
        return self.live.running_artefact()

    def shown(self, live: LiveState) -> None:
        self.live = live
        try:
            self.run = replace(self.run, settings=load_settings(self.run.folder / "faq.toml"))
        except UsageError as error:
            self.problem = str(error)
        self._read_queue()
        self._follow()
        self._arrange()
        self.draw()

    def tick(self, live: LiveState) -> None:
        self.live = live
        made = sum(artefact.seconds is not None for artefact in live.artefacts.values())
        stage = live.stage
        read_for = (id(live), made, stage and (stage.stage, stage.state, stage.stage == "quantize" and stage.done))
        changed = read_for != self._read_for
        if changed:
            self._read_for = read_for
            self._read_queue()
        self._follow()
        self.draw(all_of_it=changed)

    def text_to_copy(self) -> str | None:
        """If only the log is shown, return the log. Otherwise return the table of losses."""
        if self.view == "log" and not self._all_views:
            return "\n".join(self._log(200))
        grid = self._grid()
        rows = [f"{layer}\t{module}\t{loss}" for (layer, module), loss in sorted(grid.losses.items())]
        return "layer\tmodule\tloss\n" + "\n".join(rows) if rows else None

    def _read_queue(self) -> None:
        name = self.current.name if self.current else None
        try:
            self.queue = queue_of(self.run)
            self.problem = ""
        except FaqError as error:
            self.problem = str(error)
        self.cursor = max(0, index_of(name, [queued.name for queued in self.queue], self.cursor))

    def _follow(self) -> None:
        running = self.running
        if not self.following or running is None:
            return
        for row, queued in enumerate(self.queue):
            if queued.name == running.name:
                self.cursor = row

    # Drawing.

    def on_resize(self) -> None:
        self._arrange()
        self.call_after_refresh(self.draw)

    @property
    def _all_views(self) -> bool:
        return self.room.height >= ALL_VIEWS_HEIGHT

    def _arrange(self) -> None:
        """Set the heights of queue and grid. In a small pane, show one view at a time."""
        every, rows = self._all_views, max(1, len(self.queue))
        most = max(3, self.room.height // 3) if every else max(3, self.room.height // 4)
        self.query_one(ArtefactQueue).styles.height = min(rows, most)
        grid = self._grid()
        self.query_one("#grid-box").styles.height = (min(len(grid.modules), 24) or 1) + 4 if every else "1fr"
        self.query_one(LossGrid).styles.height = "1fr"
        self.query_one("#grid-box").display = every or self.view == "grid"
        self.query_one("#lower").display = every or self.view != "grid"
        self.query_one("#curve-box").display = every or self.view == "curve"
        self.query_one("#log-box").display = every or self.view == "log"

    def draw(self, all_of_it: bool = True) -> None:
        now = self.now
        slow = all_of_it or abs(now - self._slow_at) >= SLOW_S
        if slow:
            self._slow_at = now
            self._draw_figures(now)
            if self.query_one("#log-box").display:
                self.query_one("#log", LiteralText).show(
                    "\n".join(self._log(max(1, self.query_one("#log").size.height)))
                )
        self.query_one(ArtefactQueue).show(self.queue, self.cursor, self.live.running_artefacts())
        self._draw_grid()

    def _draw_figures(self, now: float) -> None:
        width = max(20, self.room.width - 2)
        parts = [self.problem] if self.problem else figures(self.live, self.queue, now)
        parts += [f"{server.name} is served at {server.url}" for server in live_servers(self.run.jobs) if server.url]
        sampler = getattr(self.app, "sampler", None)
        machine = describe_machine(sampler.latest, width) if sampler is not None and self._all_views else ""
        self.query_one("#figures", LiteralText).show(joined_with_dots([*parts, machine] if machine else parts, width))

    def _draw_grid(self) -> None:
        current, grid = self.current, self._grid()
        views = "" if self._all_views else " · press v for the curve and the log"
        title = f"{current.name}: layer by module{views}" if current else "no recipes"
        self.query_one("#grid-title", LiteralText).show(title)
        widget = self.query_one(LossGrid)
        if widget.display:
            widget.grid, widget.few_colours = grid, self._few_colours
        box = self.query_one("#curve", LiteralText)
        drawn_for = (current and current.name, len(grid.losses) if grid.complete else self._layers_done, box.size)
        if box.size.width and drawn_for != self._curve_of:
            self._curve_of = drawn_for
            # Drawing the curve is slow. Draw the queue's rows first, so that the cursor moves at once.
            self.call_after_refresh(self._draw_curve)

    def _draw_curve(self) -> None:
        box = self.query_one("#curve", LiteralText)
        curve = log_curve(self._grid().by_layer(), box.size.width, box.size.height)
        box.show(Text.from_ansi(curve, no_wrap=True) if curve else "No layer has been quantized yet.")

    @property
    def _layers_done(self) -> int:
        live = self.live.artefacts.get(self.current.name) if self.current else None
        return len(live.layer_done) if live else 0

    @property
    def _few_colours(self) -> bool:
        return bool(self.app.ansi_color) or self.app.console.color_system not in ("truecolor", "256")

    def _grid(self) -> LossTable:
        """The losses of the selected artefact, from the live state or from its manifest."""
        current = self.current
        if current is None:
            return LossTable()
        live = self.live.artefacts.get(current.name)
        if live is not None and (live.seconds is None or current.artefact is None):
            return self._kept(current.name, (id(live), live.version), lambda: _grown(live))
        folder = self.run.models / (current.artefact.folder if current.artefact else current.name)
        key = (str(folder), current.artefact and current.artefact.signature)
        return self._kept(current.name, key, lambda: from_manifest(read_manifest(folder) or {}))

    def _kept(self, name: str, key: object, make: Callable[[], LossTable]) -> LossTable:
        """Return the table of losses that `make` computes.

        The table is cached until `key` changes. After each call of `make`, the widgets are arranged again.
        """
        known = self._grids.get(name)
        if known is None or known[0] != key:
            known = self._grids[name] = (key, make())
            self.call_after_refresh(self._arrange)
        return known[1]

    def _log(self, rows: int) -> list[str]:
        row = stages.all_rows(self.run.store).get("quantize")
        self.query_one("#log-title", LiteralText).show(f"log of job {row.job}" if row else "log")
        return log_tail(self.run.log(row.job), rows) if row else []

    def on_line_list_line_clicked(self, event: ArtefactQueue.LineClicked) -> None:
        event.stop()
        self._move_to(event.index)
        if event.again:
            self._guarded(self.action_card)

    def _move_to(self, row: int) -> None:
        self.cursor = max(0, min(row, len(self.queue) - 1))
        self.following = False
        self.draw()

    # Actions.

    def action_down(self) -> None:
        self._move_to(self.cursor + 1)

    def action_up(self) -> None:
        self._move_to(self.cursor - 1)

    def action_first(self) -> None:
        self._move_to(0)

    def action_last(self) -> None:
        self._move_to(len(self.queue) - 1)

    def action_running(self) -> None:
        self.following = True
        if self.running is None:
            self.notify("No artefact is being quantized. The pane will show the next artefact.")
        self._follow()
        self.draw()

    @property
    def arrangement(self) -> str:
        return self.view if self.view != VIEWS[0] else ""

    def use_arrangement(self, layout: str) -> None:
        self.view = layout if layout in VIEWS else self.view

    def action_view(self) -> None:
        if self._all_views:
            self.notify("Grid, curve and log are all shown.")
            return
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
        self._arrange()
        self.call_after_refresh(self.draw)

    def action_add(self) -> None:
        like = self.current.recipe if self.current else default_recipe()

        def add(values: dict[str, Any] | None) -> None:
            if values is not None:
                self._edit(lambda path: edit.add_recipe(path, values))

        self.app.push_screen(RecipeScreen(self.run.settings.set_names(), like), add)

    def action_remove(self) -> None:
        current = self.current
        if current is None:
            return
        self._refuse_if_made(current.recipe_index)

        def answered(answer: str | None) -> None:
            if answer == REMOVE:
                self._edit(lambda path: edit.remove_recipe(path, current.recipe_index), current.recipe_index)

        question = f"Remove recipe {current.recipe_index + 1} ({describe(current.recipe)}) from faq.toml?"
        answers = (
            Answer("d", REMOVE, "Remove it (its artefacts stay on disk)"),
            Answer("escape", KEEP, "Keep it"),
        )
        self.app.push_screen(ChoiceScreen(question, answers), answered)

    def read_again(self) -> None:
        self._read_queue()
        self._arrange()
        self.draw()

    def action_move_up(self) -> None:
        self._move_recipe(-1)

    def action_move_down(self) -> None:
        self._move_recipe(1)

    def action_stop(self) -> None:
        if not self.live.is_running("quantize"):
            self.notify("Nothing is being quantized.")
            return
        self.notify(
            "The job will stop at the quantizer's next step, at the latest after this layer. Finished artefacts "
            "are kept. When you resume (r), this artefact starts over from its first layer or its last checkpoint."
        )
        self.post_message(self.StopJob())

    def _move_recipe(self, by: int) -> None:
        current = self.current
        if current is None:
            return
        self._refuse_if_made(current.recipe_index)
        self._edit(lambda path: edit.move_recipe(path, current.recipe_index, by), current.recipe_index)

    def _refuse_if_made(self, index: int) -> None:
        """Raise UsageError while a job quantizes an artefact of this recipe."""
        recipe, running = self.run.settings.recipes[index], self.live.running_artefacts()
        made = {recipe.folder(name) for name in self.run.settings.sets_of(recipe)}
        for artefact in running:
            if artefact.name in made:
                raise UsageError(f"a job is quantizing {artefact.name} with this recipe; first stop the job (x)")
        row = stages.all_rows(self.run.store).get("quantize")
        if not running and row is not None and row.state == "running" and is_busy(self.run):
            raise UsageError("a quantization is starting and its recipe is not known yet; try again in a few seconds")

    def _edit(self, change: Callable[[Path], Settings], index: int | None = None) -> None:
        """Change faq.toml, and show the pane with the new settings.

        If an artefact of the recipe `index` is being quantized now, change nothing.
        """
        try:
            if self.run.store.read_only:
                raise UsageError("this is a replay, which cannot change faq.toml")
            if index is not None:
                self._refuse_if_made(index)
            self.run = replace(self.run, settings=change(self.run.folder / "faq.toml"))
        except FaqError as error:
            self.notify(sanitize(str(error)), severity="error", markup=False)
            return
        if self.live.is_running("quantize"):
            self.notify("Saved. The running job keeps its recipes. After it has ended, r uses the new recipes.")
        self.read_again()


def _grown(live: ArtefactLive) -> LossTable:
    grid = LossTable(layers=live.layers)
    for (layer, module), event in live.modules.items():
        grid.add(layer, module, event.loss)
    for layer, modules in live.expected.items():
        if layer not in live.layer_done:
            grid.expect(layer, modules)
    return grid
