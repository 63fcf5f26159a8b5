"""The queue of artefacts and the figures above it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from faq_tui.core.artefact_queue import Queued
from faq_tui.core.base.text import duration, sanitize
from faq_tui.core.settings import Recipe
from faq_tui.tui.duration import clock_time
from faq_tui.tui.live import LiveState
from faq_tui.tui.live_quantize import ArtefactLive

STYLES = {"done": "green", "stale": "yellow", "failed": "bold red", "stopped": "yellow", "running": "bold cyan"}
WORDS = {"no set": "waits for set", "stale": "out of date"}


def figures(live: LiveState, queue: Sequence[Queued], now: float) -> list[str]:
    """The progress and rate of a running quantization, else the number of artefacts."""
    done = sum(queued.state == "done" for queued in queue)
    running = live.running_artefact()
    parts = [f"{done} of {len(queue)} artefacts done"]
    if running is not None:
        parts.append(f"{running.name}: layer {min(len(running.layer_done) + 1, running.layers)} of {running.layers}")
        pace = running.seconds_a_layer()
        if pace is not None:
            parts.append(f"{pace:.1f} s a layer")
        parts.append(_left(live, now))
    elif live.is_running("quantize"):
        parts.append("loading the target")
    else:
        ended = next((queued for queued in queue if queued.state in ("failed", "stopped")), None)
        if ended is not None:
            parts.append(f"{ended.name} {ended.state}: {ended.message}")
        elif stale := sum(queued.state == "stale" for queued in queue):
            parts.append(f"{stale} out of date; r quantizes them again")
    return parts


def _left(live: LiveState, now: float) -> str:
    left = live.seconds_left(now)
    if left is None:
        return "time left not known yet"
    text = f"{clock_time(left)} left"
    more = (live.stage.total or 0) - live.stage.done - 1 if live.stage else 0
    if more > 0:
        text += f", {more} more artefact{'s' if more > 1 else ''} after it"
    return text


def describe(recipe: Recipe) -> str:
    """A recipe in words, without settings that have their default values."""
    group = "one group per row" if recipe.group_size == -1 else f"groups of {recipe.group_size}"
    extras = [f"{key} {value}" for key, value in recipe.unusual().items()]
    return ", ".join([f"{recipe.method} {recipe.bits} bits", group, *extras])


def outcome(queued: Queued, live: ArtefactLive | None) -> str:
    """The size and time of a finished artefact, or the layer that is being quantized."""
    if live is not None:
        return f"layer {min(len(live.layer_done) + 1, live.layers)} of {live.layers}"
    row = queued.artefact
    if row is None:
        return ""
    if row.same_as:
        return f"same as {row.same_as}"
    return f"{row.bits:.2f} bits · {duration(row.seconds)}"


class ArtefactQueue(Widget):
    """Draws the rows around the selected row. The pane handles the keys."""

    class ArtefactChosen(Message):
        """The user clicked a row."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self) -> None:
        super().__init__(id="queue")
        self._queue: list[Queued] = []
        self._cursor = 0
        self._making: ArtefactLive | None = None
        self._drawn: tuple[object, ...] = ()

    def show(self, queue: list[Queued], cursor: int, running: ArtefactLive | None) -> None:
        """Draw the queue if anything has changed."""
        self._queue, self._cursor, self._making = queue, cursor, running
        now = queue, cursor, running and (running.name, running.version)
        if now != self._drawn:
            self._drawn = now
            self.refresh()

    @property
    def _top(self) -> int:
        """The index of the first visible row. The selected row is always visible."""
        height = max(1, self.size.height)
        return max(0, min(self._cursor - height // 2, len(self._queue) - height))

    def on_click(self, event: Click) -> None:
        if self._top + event.y < len(self._queue):
            self.post_message(self.ArtefactChosen(self._top + event.y))

    def render(self) -> Text:
        rows = range(self._top, min(len(self._queue), self._top + self.size.height))
        return Text("\n", no_wrap=True, end="").join(self._line(row) for row in rows)

    def _line(self, row: int) -> Text:
        queued = self._queue[row]
        live = self._making if self._making is not None and self._making.name == queued.name else None
        state = "running" if live is not None else queued.state
        same_recipe = row > self._top and self._queue[row - 1].recipe_index == queued.recipe_index
        line = Text("▸ " if row == self._cursor else "  ", no_wrap=True, end="")
        line.append(f"{WORDS.get(state, state):<14}", style=STYLES.get(state, "dim"))
        recipe = "" if same_recipe else f"{queued.recipe_index + 1}: {describe(queued.recipe)}"
        line.append(f"{recipe:<{max(len(describe(q.recipe)) for q in self._queue) + 5}}", style="bold")
        line.append(f"{sanitize(queued.set_name):<{max(len(q.set_name) for q in self._queue) + 2}}")
        line.append(sanitize(outcome(queued, live)))
        line.truncate(self.size.width, overflow="ellipsis", pad=True)
        if row == self._cursor:
            line.stylize("reverse")
        return line
