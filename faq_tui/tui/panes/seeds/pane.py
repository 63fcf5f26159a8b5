"""The Seeds pane: browse, search, filter, exclude and tag up to millions of seeds."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize
from textual.message import Message
from textual.timer import Timer

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.overrides import user
from faq_tui.core.run.run import Run
from faq_tui.core.settings import BASELINE
from faq_tui.core.source_views import views_of
from faq_tui.core.store import seed_pages, seeds
from faq_tui.core.store.database import short_lock_timeout
from faq_tui.core.store.seed_pages import SeedFilter, SeedListRow, View
from faq_tui.core.store.seeds import Edit
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.live import LiveState, with_time
from faq_tui.tui.pane import Pane
from faq_tui.tui.panes.seeds import filters
from faq_tui.tui.panes.seeds.finder import Finder, SeedFacts, SeedsFound
from faq_tui.tui.panes.seeds.preview import SampleSets, SeedPreview
from faq_tui.tui.panes.seeds.seed_list import SeedList, columns
from faq_tui.tui.panes.seeds.spec import SEEDS
from faq_tui.tui.selection import select_seed, selected_seed
from faq_tui.tui.widgets.ask import Ask
from faq_tui.tui.widgets.covered import CoveredContainer
from faq_tui.tui.widgets.menu import Menu
from faq_tui.tui.widgets.table import head
from faq_tui.tui.widgets.text import LiteralText

WIDE = 150  # minimum width in columns for a preview beside the list
REREAD_EVERY_S = 1.0
ALL_PAGES = 10_000
SETTLE_S = 0.04  # seconds that the cursor must rest before the preview is read
EDIT_WORDS = {
    "exclude": "excluded: no set will contain this seed",
    "include": "included again",
    "tag": "tagged #{tag}",
    "untag": "no longer tagged #{tag}",
}


class SetsRead(Message):
    """A thread has read the indexes of the calibration sets."""


class SeedsPane(Pane):
    """The pane Seeds. The pane reads one page of rows at a time from the database.

    A search runs on a thread. While the search runs, its matches are added to the list.
    """

    SPEC = SEEDS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(SEEDS.actions)]
    DEFAULT_CSS = (Path(__file__).parent / "seeds.tcss").read_text(encoding="utf-8")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.views: list[View] = [View()]
        self.view = View()
        self.seed_filter = SeedFilter()
        self.facts: SeedFacts | None = None
        self.set_name = BASELINE
        self.sets = SampleSets(run)
        self.finder = Finder(self, run.store)
        self._search: int | None = None  # number of the search whose matches are listed
        self._searching = False
        self._seen: tuple[object, ...] = ()
        self._when = ""  # when the stage seeds runs, in words
        self._read_at = 0.0
        self._settle: Timer | None = None
        self._reading_sets = False

    def compose(self) -> ComposeResult:
        yield LiteralText(id="seeds-status")
        yield LiteralText(id="seeds-empty")
        with CoveredContainer(id="seeds-body"):
            with CoveredContainer(id="seeds-left"):
                yield LiteralText(id="seeds-heading")
                yield SeedList(self._fetch)
            yield SeedPreview(id="seeds-preview")

    @property
    def list(self) -> SeedList:
        return self.query_one(SeedList)

    # Showing.

    def use_run(self, run: Run) -> None:
        super().use_run(run)
        self.sets = SampleSets(run)

    def shown(self, live: LiveState) -> None:
        self.views = views_of(self.run)
        self.view = next((view for view in self.views if view.source == self.view.source), self.views[0])
        self._seen, self._when = _key(live), live.when("seeds")
        self.list.candidates = self.view.candidates
        self._reread()
        if self.facts is None:
            # Show the first page at once, while a thread counts the seeds.
            count = seed_pages.newest_position(self.run.store) + 1
            self.list.show(range(count))
        self._go_to_selected()
        self.finder.facts()
        self._draw()

    def tick(self, live: LiveState) -> None:
        before, now = self._seen, _key(live)
        self.late = before != now and time.monotonic() - self._read_at < REREAD_EVERY_S
        if before != now and not self.late:
            self._seen, self._when = now, live.when("seeds")
            self._reread()
            if before[:2] != now[:2]:
                self.finder.facts()

    def on_seed_facts(self, message: SeedFacts) -> None:
        first, self.facts = self.facts is None or self.facts.total != message.total, message
        if self.seed_filter or not message.dense:
            if first:
                self._narrow(self.seed_filter)
        elif len(self.list.positions) != message.total:
            row = self.list.selected
            self.list.show(range(message.total), row.position if row else None)
        self._draw()

    def on_seeds_found(self, message: SeedsFound) -> None:
        if message.number != self._search:
            return
        positions = self.list.positions
        if not isinstance(positions, array):
            self.list.show(message.positions)
            self.list.move(-self.list.cursor)
            self._draw_preview()
        else:
            positions.extend(message.positions)
            self.list.grew()
        self._searching = not message.done
        self._draw()

    def on_sets_read(self) -> None:
        self._reading_sets = False
        self.list.tokens = self.sets.tokens(BASELINE)
        self._draw_preview()

    def on_line_list_line_highlighted(self) -> None:
        self._draw_status()
        if self._settle is not None:
            self._settle.stop()
        self._settle = self.set_timer(SETTLE_S, self._settled)

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")

    def on_seed_list_resized(self) -> None:
        self._draw_heading()

    def text_to_copy(self) -> str | None:
        return self.query_one(SeedPreview).whole or None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        match action:
            case "clear":
                return bool(self.seed_filter) or self.has_class("-zoom")
            case "source":
                return len(self.views) > 1
        return True

    def _fetch(self, positions: Sequence[int]) -> dict[int, SeedListRow]:
        return seed_pages.rows_at(self.run.store, self.view, positions)

    def _reread(self) -> None:
        self._read_at = time.monotonic()
        self.list.reread()
        self._draw_preview()
        if not self._reading_sets:
            self._reading_sets = True
            threading.Thread(target=self._read_sets, name="sets", daemon=True).start()

    def _read_sets(self) -> None:
        self.sets.refresh()
        try:
            self.post_message(SetsRead())
        except RuntimeError:
            return  # the app has ended

    def _settled(self) -> None:
        row = self.list.selected
        if row is not None:
            select_seed(self, row.id)
        self._draw_preview()

    def _go_to_selected(self) -> None:
        seed_id = selected_seed(self.app)
        row = self.list.selected
        if seed_id is None or (row is not None and row.id == seed_id):
            return
        position = seed_pages.position_of(self.run.store, seed_id)
        if position is not None:
            self.list.show(self.list.positions, position)

    def _narrow(self, seed_filter: SeedFilter) -> None:
        self.seed_filter = seed_filter
        if not seed_filter and self.facts is not None and self.facts.dense:
            row = self.list.selected
            self.finder.stop()
            self._search, self._searching = None, False
            self.list.show(range(self.facts.total), row.position if row else None)
        else:
            self._search, self._searching = self.finder.search(self.view, seed_filter), True
            self.list.show(range(0))
        self._draw()

    def _draw(self) -> None:
        self.refresh_bindings()
        self._draw_status()
        self._draw_heading()
        self._draw_preview()
        empty = not self.list.positions and not self._searching
        self.set_class(empty, "-empty")
        if empty:
            nothing = f"No seeds loaded. {with_time('The stage seeds reads them', self._when)}"
            if self.seed_filter:
                nothing = "no seed matches; press esc to see all seeds"
            self.query_one("#seeds-empty", LiteralText).show(nothing)

    def _draw_status(self) -> None:
        count, at = len(self.list.positions), self.list.cursor + 1
        parts = [f"seed {at:,} of {count:,}" if count else "no seeds"]
        if self.seed_filter:
            more = " so far" if self._searching else ""
            total = f" of {self.facts.total:,}" if self.facts else ""
            parts.append(f"{filters.in_words(self.seed_filter)}: {count:,}{more}{total} seeds")
        else:
            parts.append(self._roles())
        parts.append(f"state for {self.view.source}" if len(self.views) > 1 else "")
        line = "   ".join(part for part in parts if part)
        skipped = "" if self.seed_filter else self._skipped()
        if skipped:
            fits = len(line) + len(skipped) + 3 <= self.size.width - 2
            line += ("   " if fits else "\n") + skipped
        self.query_one("#seeds-status", LiteralText).show(line)

    def _roles(self) -> str:
        names = {"chosen": "to regenerate", "heldout": "held out", "pool": "unused", "excluded": "excluded"}
        counts = self.facts.roles if self.facts else {}
        return ", ".join(f"{counts[role]:,} {name}" for role, name in names.items() if counts.get(role))

    def _skipped(self) -> str:
        """A text such as `12 rows skipped: 9 image, 3 empty`; "" if no row was skipped."""
        skipped = self.facts.skipped if self.facts else {}
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in skipped.items())
        return f"{sum(skipped.values()):,} rows skipped: {reasons}" if skipped else ""

    def _draw_heading(self) -> None:
        width = self.list.size.width - 1
        if width > 0:
            self.query_one("#seeds-heading", LiteralText).show(head(columns(width)))

    def _draw_preview(self) -> None:
        row = self.list.selected
        seed = seeds.get(self.run.store, row.id) if row else None
        self.query_one(SeedPreview).show(row, seed, self.sets, self.set_name)

    # Actions.

    def action_search(self) -> None:
        prompt = "Search in questions, answers, labels and ids (empty ends the search)"
        self.app.push_screen(Ask(prompt, self.seed_filter.text), self._searched)

    def _searched(self, text: str | None) -> None:
        if text is not None:
            self._narrow(replace(self.seed_filter, text=text))

    def action_filter(self) -> None:
        facts = self.facts
        known = (facts.categories, facts.files, facts.tags) if facts else ((), (), ())
        menu = Menu("Show only seeds with", filters.groups(self.seed_filter, *known))
        self.app.push_screen(menu, self._filtered)

    def _filtered(self, choice: tuple[str, str] | None) -> None:
        if choice is not None:
            self._narrow(filters.narrowed(self.seed_filter, *choice))

    def action_clear(self) -> None:
        if self.has_class("-zoom"):
            self.action_zoom()
        elif self.seed_filter:
            self._narrow(SeedFilter())

    def action_exclude(self) -> None:
        row, store = self.list.selected, self.run.store
        if row is not None:
            self._edit(lambda: seeds.toggle_excluded(store, row.id, user()))

    def action_tag(self) -> None:
        row = self.list.selected
        if row is not None:
            prompt = "Tag to add to this seed, or to remove from it"
            self.app.push_screen(Ask(prompt), lambda text: self._tagged(row.id, text))

    def _tagged(self, seed_id: str, text: str | None) -> None:
        tag = (text or "").strip().lstrip("#").strip()
        if tag:
            self._edit(lambda: seeds.toggle_tag(self.run.store, seed_id, tag, user()))

    def action_undo(self) -> None:
        self._edit(lambda: seeds.undo_edit(self.run.store, user()), "undone: ")

    def _edit(self, change: Callable[[], Edit | None], before: str = "") -> None:
        try:
            with short_lock_timeout(self.run.store):
                edit = change()
        except FaqError as error:
            self.app.notify(sanitize(str(error)), severity="error", markup=False)
            return
        if edit is None:
            self.app.notify("nothing to undo", markup=False)
            return
        words = EDIT_WORDS[edit.action].format(tag=sanitize(edit.tag, 40))
        self.app.notify(f"{before}{edit.seed_id} {words}", markup=False)
        self._reread()
        self.finder.facts()

    def action_source(self) -> None:
        self.view = self.views[(self.views.index(self.view) + 1) % len(self.views)]
        self.list.candidates = self.view.candidates
        self._reread()
        if self.seed_filter.state:
            self._narrow(self.seed_filter)
        self._draw()

    def action_set(self) -> None:
        row = self.list.selected
        holding = self.sets.holding(row.id) if row else []
        if len(holding) < 2:
            self.app.notify(f"this seed is in {'one set only' if holding else 'no calibration set yet'}")
            return
        now = self.set_name if self.set_name in holding else holding[0]
        self.set_name = holding[(holding.index(now) + 1) % len(holding)]
        self._draw_preview()

    def action_zoom(self) -> None:
        self.toggle_class("-zoom")
        self.refresh_bindings()

    def action_down(self) -> None:
        self._move(1)

    def action_up(self) -> None:
        self._move(-1)

    def action_page_down(self) -> None:
        self._move(self.list.page, 1)

    def action_page_up(self) -> None:
        self._move(-self.list.page, -1)

    def action_first(self) -> None:
        self._move(-len(self.list.positions), -ALL_PAGES)

    def action_last(self) -> None:
        self._move(len(self.list.positions), ALL_PAGES)

    def action_preview_down(self) -> None:
        self.query_one(SeedPreview).scroll_text(lines=3)

    def action_preview_up(self) -> None:
        self.query_one(SeedPreview).scroll_text(lines=-3)

    def _move(self, by: int, pages: int = 0) -> None:
        """Move the cursor by `by` seeds.

        If the large preview is shown, scroll its text instead: by `pages` pages, or by `by` lines if `pages` is 0.
        """
        if self.has_class("-zoom"):
            self.query_one(SeedPreview).scroll_text(pages, 0 if pages else by)
        else:
            self.list.move(by)


def _key(live: LiveState) -> tuple[object, ...]:
    return (live.stage.stage, live.stage.state, live.version) if live.stage else (None, None, live.version)
