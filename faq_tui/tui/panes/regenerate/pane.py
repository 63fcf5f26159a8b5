"""The Regenerate pane: the queue of seeds, and the growing candidates of the selected seed side by side."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from faq_tui.core.endpoints.remembered import known_capabilities
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.store import candidate_pages as queries
from faq_tui.core.store import candidates as failure_rows
from faq_tui.core.store.candidate_pages import Totals
from faq_tui.core.store.candidates import Candidate
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.live import LiveState, with_time
from faq_tui.tui.pane import Pane
from faq_tui.tui.panes.regenerate.candidate import CandidateView
from faq_tui.tui.panes.regenerate.figures import count_totals, figures
from faq_tui.tui.panes.regenerate.queue import Follower, SeedPage, SeedQueue
from faq_tui.tui.panes.regenerate.spec import REGENERATE
from faq_tui.tui.selection import select_seed, selected_seed
from faq_tui.tui.widgets.covered import CoveredContainer, CoveredVertical
from faq_tui.tui.widgets.short import joined_with_dots
from faq_tui.tui.widgets.text import LiteralText

MOST_VIEWS = 4
WIDE = 110  # minimum width in columns for candidates side by side
VIEW_WIDTH, VIEW_HEIGHT = 28, 5  # minimum width (cells) and height (lines) of a candidate
QUEUE_EVERY_S = 0.5
FIGURES_EVERY_S = 0.5


class RegeneratePane(Pane):
    """The pane Regenerate. Finished candidates come from the database, and growing candidates from the live state."""

    SPEC = REGENERATE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(REGENERATE.actions)]
    DEFAULT_CSS = (Path(__file__).parent / "regenerate.tcss").read_text(encoding="utf-8")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.page = SeedPage(run.store)
        self.queue = SeedQueue(self.page)
        self.views = [CandidateView() for _ in range(MOST_VIEWS)]
        self.live = LiveState()
        self.source = next(iter(run.settings.sources), "")
        self.number = 1
        self.follower = Follower()
        self._finished: dict[int, Candidate] = {}  # finished candidates of the selected seed, by number
        self._lost: dict[int, str] = {}  # maps the number of each failed candidate to the reason
        self._loaded: tuple[object, ...] = ()  # the value of `read_for` when `_finished` was last read
        self._queue_drawn = self._figures_drawn = 0.0
        self._stage: tuple[str, str] | None = None  # (name, state) of the stage at the last tick
        self._totals: dict[str, Totals] = {}  # maps a source to its totals, as they were last counted
        self._left_out: tuple[str, ...] = ()  # parameters that a server of the source refuses

    def compose(self) -> ComposeResult:
        yield LiteralText(id="figures")
        yield LiteralText(id="empty")
        with CoveredContainer(id="body"):
            with CoveredVertical(id="left"):
                yield LiteralText(id="queue-title")
                yield self.queue
            with Container(id="candidates"):
                yield from self.views

    # State.

    @property
    def settings(self) -> Source | None:
        return self.run.settings.sources.get(self.source)

    @property
    def candidates(self) -> int:
        return self.settings.candidates if self.settings else 0

    @property
    def now(self) -> float:
        clock = getattr(self.app, "clock", time.time)
        return float(clock())

    @property
    def following(self) -> bool:
        return self.follower.on

    def shown(self, live: LiveState) -> None:
        self.live = live
        if self.source not in self.run.settings.sources:
            self.source = next(iter(self.run.settings.sources), "")
        self.number = max(1, min(self.number, self.candidates))
        self.page.load()
        seed_id = selected_seed(self.app)
        if seed_id is not None and not self.following:
            self.page.go_to(seed_id)
        self._loaded = ()
        self._count()
        self._arrange()
        self.draw()

    def tick(self, live: LiveState) -> None:
        if live is not self.live:
            self._loaded = ()
        self.live = live
        if self.following:
            self._follow()
        stage = (live.stage.stage, live.stage.state) if live.stage else None
        changed = stage != self._stage
        if changed:
            self._stage = stage
            self.page.load()  # a new stage, or a new state of the stage, may mean new seeds
            self._count()
        self.draw(all_of_it=changed)

    def text_to_copy(self) -> str | None:
        view = next((v for v in self.views if v.key and v.key[2] == self.number and v.display), None)
        return view.whole() if view else None

    # Drawing.

    def on_resize(self) -> None:
        self._arrange()
        self.draw()

    def on_seed_queue_page_resized(self, event: SeedQueue.PageResized) -> None:
        event.stop()
        self.draw()

    def on_line_list_line_clicked(self, event: SeedQueue.LineClicked) -> None:
        event.stop()
        self.page.cursor = event.index
        self.draw()

    def on_candidate_view_candidate_clicked(self, event: CandidateView.CandidateClicked) -> None:
        event.stop()
        self.number = event.number
        self._moved()

    def draw(self, all_of_it: bool = True) -> None:
        """Draw what has changed. If `all_of_it` is false, parts that are slow to draw are drawn less often."""
        now = self.now
        if all_of_it or abs(now - self._figures_drawn) >= FIGURES_EVERY_S:
            self._figures_drawn = now
            self._draw_figures(now)
        if all_of_it or abs(now - self._queue_drawn) >= QUEUE_EVERY_S:
            self._queue_drawn = now
            self._draw_queue()
        self._draw_candidates(now)

    def _draw_figures(self, now: float) -> None:
        names = list(self.run.settings.sources)
        expected = sum(s.candidates for s in self.run.settings.sources.values()) * self.page.total
        totals = self._totals.get(self.source)
        if totals is not None and self.settings is not None and not self.live.is_running("regenerate"):
            # The totals count the candidates of the shown source alone, so `expected` must count the same candidates.
            expected = self.settings.candidates * self.page.total
        which = f"source {self.source}"
        if len(names) > 1:
            which += f" ({names.index(self.source) + 1} of {len(names)})"
        parts = [which, *figures(self.live, totals, expected, now)] if names else ["no sources"]
        parts += [f"sent without {', '.join(self._left_out)}"] if self._left_out else []
        self.query_one("#figures", LiteralText).show(joined_with_dots(parts, max(20, self.room.width - 2)))

    def _draw_queue(self) -> None:
        empty = self._why_empty()
        self.set_class(bool(empty), "-empty")
        self.query_one("#empty", LiteralText).show(empty)
        source = self.settings
        if source is None or empty:
            return
        on_page = [seed.seed_id for seed in self.page.seeds]
        counts = queries.answered(self.run.store, source_hash_of(source), source.candidates, on_page)
        self.queue.set_states(counts, source.candidates, self.source, self.live.regeneration)
        title = f"{self.page.total:,} seeds" + (" · following" if self.following else "")
        self.query_one("#queue-title", LiteralText).show(title)

    def _why_empty(self) -> str:
        if not self.run.settings.sources:
            return "This run has no source, so it will use only the baseline.\n\nTo add a source, set a larger model \
of the target's family under [sources.elder] in faq.toml."
        if not self.page.seeds:
            return f"No seeds loaded.\n\n{with_time('The stage seeds reads them', self.live.when('seeds'))}"
        return ""

    def _draw_candidates(self, now: float) -> None:
        seed, source = self.page.current, self.settings
        if seed is None or source is None:
            return
        select_seed(self, seed.seed_id)
        growing, failures = self.live.growing, self.live.regeneration.failures
        read_for = (seed.seed_id, self.source, id(self.live), self.live.regeneration.settled)
        shown = [v for v in self.views if v.display]
        keys = [(seed.seed_id, self.source, number) for number in self._numbers()]
        if read_for[:3] != self._loaded[:3] or (
            read_for != self._loaded and any(key not in growing and key[2] not in self._finished for key in keys)
        ):
            self._finished = queries.candidates_of(self.run.store, source_hash_of(source), seed.seed_id)
            self._lost = failure_rows.failures_of_seed(self.run.store, source_hash_of(source), seed.seed_id)
            self._loaded = read_for
        for view, key in zip(shown, keys, strict=False):
            view.set_class(key[2] == self.number, "-chosen")
            why = failures.get(key) or self._lost.get(key[2])
            retried = self.live.regeneration.retried_why.get(key, "")
            view.show(key, self._finished.get(key[2]), growing.get(key), why, now, retried)

    def _numbers(self) -> range:
        """The numbers of the candidates that fit, including the selected candidate."""
        room = sum(view.display for view in self.views)
        first = max(1, min(self.number - room // 2, self.candidates - room + 1))
        return range(first, min(self.candidates, first + room - 1) + 1)

    def _arrange(self) -> None:
        """Show as many candidates as fit: side by side in a wide pane, one above another in a narrow pane."""
        wide = self.room.width >= WIDE
        self.set_class(wide, "-wide")
        zoomed = self.has_class("-zoom")
        room = (self.room.width * 3 // 4) // VIEW_WIDTH if wide else (self.room.height - 3) // VIEW_HEIGHT
        room = 1 if zoomed else max(1, min(MOST_VIEWS, room, self.candidates))
        for index, view in enumerate(self.views):
            view.display = index < room

    def _count(self) -> None:
        """Count the totals again, on a thread."""
        source = self.settings
        self._left_out = ()
        if source is None:
            return
        known = [known_capabilities(self.run.store, url, source.model).left_out for url in source.urls]
        self._left_out = tuple(dict.fromkeys(name for names in known for name in names))
        counted = partial(self._counted, self.source)
        count_totals(self.app, self.run.store.path, source_hash_of(source), source.candidates, counted)

    def _counted(self, source: str, totals: Totals) -> None:
        self._totals[source] = totals
        if source == self.source:
            self._draw_figures(self.now)

    # Following.

    def _follow(self) -> None:
        seed, now = self.page.current, self.now
        shown = (seed.seed_id, self.source, self.number) if seed else None
        key = self.follower.next(self.live.regeneration, shown, now)
        if key is not None and self.page.go_to(key[0]):
            self.source, self.number = key[1], key[2]
            self.follower.went(now)
            self._queue_drawn = self._figures_drawn = 0.0

    def _moved(self) -> None:
        """Draw the queue at once, so that the user sees the effect of the key. Draw the rest later."""
        self.follower.on = False
        self._draw_queue()
        self.call_after_refresh(self._draw_rest)

    def _draw_rest(self) -> None:
        now = self.now
        self._draw_figures(now)
        self._draw_candidates(now)

    # Actions.

    def action_next_seed(self) -> None:
        self.page.down()
        self._moved()

    def action_previous_seed(self) -> None:
        self.page.up()
        self._moved()

    def action_first_seed(self) -> None:
        self.page.first()
        self._moved()

    def action_last_seed(self) -> None:
        self.page.last()
        self._moved()

    def action_next_candidate(self) -> None:
        self.number = min(self.number + 1, max(1, self.candidates))
        self._moved()

    def action_previous_candidate(self) -> None:
        self.number = max(1, self.number - 1)
        self._moved()

    def action_page_down(self) -> None:
        self._scroll(1)

    def action_page_up(self) -> None:
        self._scroll(-1)

    def _scroll(self, pages: int) -> None:
        for view in self.views:
            if view.display and view.key and view.key[2] == self.number:
                view.flow.scroll_by(pages * view.flow.page)

    def action_zoom(self) -> None:
        self.toggle_class("-zoom")
        self._arrange()
        self.draw()

    def action_follow(self) -> None:
        self.follower.toggle()
        self._follow()
        self.draw()

    def action_source(self) -> None:
        names = list(self.run.settings.sources)
        if len(names) < 2:
            self.notify("This run has only one source." if names else "This run has no source.")
            return
        self.source = names[(names.index(self.source) + 1) % len(names)]
        self.number = min(self.number, self.candidates)
        self._count()
        self._arrange()
        self._moved()

    def action_retry(self) -> None:
        self.post_message(self.StartJob(only="regenerate"))
