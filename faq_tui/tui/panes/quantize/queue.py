"""The queue of artefacts and the figures above it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from faq_tui.core.artefact_queue import Queued
from faq_tui.core.base.text import duration
from faq_tui.core.settings import Recipe
from faq_tui.tui.duration import clock_time
from faq_tui.tui.live import LiveState
from faq_tui.tui.live_quantize import ArtefactLive
from faq_tui.tui.widgets.list import QueueList
from faq_tui.tui.widgets.table import Column, row

STYLES = {"done": "green", "stale": "yellow", "failed": "bold red", "stopped": "yellow", "running": "bold cyan"}
WORDS = {"no set": "waits for set", "stale": "out of date"}


def figures(live: LiveState, queue: Sequence[Queued], now: float) -> list[str]:
    """Figures about the queue: the number of artefacts, and the progress and rate of a running quantization."""
    done = sum(queued.state == "done" for queued in queue)
    running = live.running_artefacts()
    parts = [f"{done} of {len(queue)} artefacts done"]
    parts += machines(live) if live.is_running("quantize") else []
    if running:
        for one in running:
            parts.append(f"{one.name}: {one.layers_in_words()}")
            pace = one.seconds_a_layer()
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
            how = "" if live.stages else "; press r to quantize them again"
            parts.append(f"{stale} out of date{how}")
    return parts


def machines(live: LiveState) -> list[str]:
    """The machines of the cluster, and the artefacts that each of them makes now; nothing without a cluster."""
    if not live.machines:
        return []
    on: dict[str, list[str]] = {}
    for artefact in live.running_artefacts():
        node = live.placed.get(f"quantize/{artefact.name}")
        if node is not None:
            on.setdefault(node, []).append(artefact.name)
    count = len(live.machines)
    parts = [f"{count} machine{'s' if count > 1 else ''} in the cluster"]
    return parts + [f"{node}: {', '.join(names)}" for node, names in sorted(on.items())]


def _left(live: LiveState, now: float) -> str:
    left = live.seconds_left(now)
    if left is None:
        return "time left not known yet"
    text = f"{clock_time(left)} left"
    made = len(live.running_artefacts())
    more = (live.stage.total or 0) - live.stage.done - made if live.stage else 0
    if more > 0:
        text += f", {more} more artefact{'s' if more > 1 else ''} after {'it' if made == 1 else 'them'}"
    return text


def describe(recipe: Recipe) -> str:
    """A recipe in words, without settings that have their default values."""
    group = "one group per row" if recipe.group_size == -1 else f"groups of {recipe.group_size}"
    extras = [f"{key} {value}" for key, value in recipe.unusual().items()]
    return ", ".join([f"{recipe.method} {recipe.bits} bits", group, *extras])


def outcome(queued: Queued, live: ArtefactLive | None) -> str:
    """The result of an artefact in words.

    For a finished artefact, the words are its size and time. For a running artefact, they are the number of
    finished layers.
    """
    if live is not None:
        return live.layers_in_words()
    row = queued.artefact
    if row is None:
        return ""
    if queued.state not in ("done", "stale"):
        return f"not on the disk; it had {row.bits:.2f} bits"
    if row.same_as:
        return f"same as {row.same_as}"
    return f"{row.bits:.2f} bits · {duration(row.seconds)}"


class ArtefactQueue(QueueList):
    """The artefacts. If not all artefacts fit, the chosen artefact is in the middle."""

    def __init__(self) -> None:
        super().__init__(id="queue")
        self._queue: list[Queued] = []
        self._making: dict[str, ArtefactLive] = {}
        self._drawn: tuple[object, ...] = ()
        self._columns: tuple[Column, ...] = ()

    def show(self, queue: list[Queued], cursor: int, running: Sequence[ArtefactLive]) -> None:
        """Show the queue, and draw only the lines that changed."""
        self._queue, self._making = queue, {artefact.name: artefact for artefact in running}
        now = queue, [(artefact.name, artefact.version) for artefact in running]
        if now != self._drawn:
            self._drawn = now
            recipe = max((cell_len(describe(q.recipe)) for q in queue), default=0) + 5
            set_name = max((cell_len(q.set_name) for q in queue), default=0) + 2
            self._columns = Column(width=2), Column(width=14), Column(width=recipe), Column(width=set_name), Column()
            self.refresh()
        self.count, self.cursor = len(queue), cursor

    def into_view(self) -> None:
        self.scroll_to(y=self.cursor - self.page // 2, animate=False, immediate=True, force=True)

    def line(self, index: int, width: int) -> Text:
        queued = self._queue[index]
        live = self._making.get(queued.name)
        state = "running" if live is not None else queued.state
        top = self.scroll_offset.y
        same_recipe = index > top and self._queue[index - 1].recipe_index == queued.recipe_index
        recipe = "" if same_recipe else f"{queued.recipe_index + 1}: {describe(queued.recipe)}"
        cells = (
            (self.mark(index), ""),
            (WORDS.get(state, state), STYLES.get(state, "dim")),
            (recipe, "bold"),
            (queued.set_name, ""),
            (outcome(queued, live), ""),
        )
        line = row(self._columns, cells)
        line.truncate(width, overflow="ellipsis")
        return line
