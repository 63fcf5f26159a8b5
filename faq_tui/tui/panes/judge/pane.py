"""The Judge pane: the judge's pick for one seed at a time, and the person's overrides."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from faq_tui.core import overrides
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.judging.picking import FILTERS, close_margin
from faq_tui.core.run.run import Run
from faq_tui.core.source_views import views_of
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.database import short_lock_timeout
from faq_tui.core.store.judged import last_override
from faq_tui.core.store.seed_pages import View
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.live import LiveState
from faq_tui.tui.pane import Pane
from faq_tui.tui.panes.judge.candidate import CandidateBox, chip, whole
from faq_tui.tui.panes.judge.case import Case, read_case, verdict
from faq_tui.tui.panes.judge.queue import JudgeQueue
from faq_tui.tui.panes.judge.spec import JUDGE
from faq_tui.tui.selection import select_seed, selected_seed
from faq_tui.tui.widgets.ask import Ask
from faq_tui.tui.widgets.covered import CoveredHorizontal
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.menu import Group, Menu
from faq_tui.tui.widgets.text import LiteralText

MOST_BOXES = 6
BOX_WIDTH = 38  # minimum width of a candidate in cells


class JudgePane(Pane):
    """The pane Judge. Each override is stored as a new row with author and time. The judge's rows never change."""

    SPEC = JUDGE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(JUDGE.actions)]
    DEFAULT_CSS = (Path(__file__).parent / "judge.tcss").read_text(encoding="utf-8")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.views: list[View] = [View()]
        self.view = View()
        self.queue = JudgeQueue(run.settings.judge.picks_by)
        self.case: Case | None = None
        self.chosen = 0  # index of the selected candidate
        self.blind = False
        self.folded: bool | None = None  # True folds all reasoning, False none; None folds only long reasoning
        self.reasons: dict[str, str] = {}  # maps a seed id to the reason for its next override
        self._version = -1

    def compose(self) -> ComposeResult:
        yield LiteralText(id="judge-status")
        yield LiteralText(id="judge-empty")
        with VerticalScroll(id="judge-question", can_focus=False):
            yield LiteralText(id="judge-question-text")
        yield LiteralText(id="judge-verdict")
        yield LiteralText(id="judge-tabs")
        with CoveredHorizontal(id="judge-boxes"):
            for _ in range(MOST_BOXES):
                yield CandidateBox()

    # Showing.

    def shown(self, live: LiveState) -> None:
        self.views = views_of(self.run)
        self.view = next((view for view in self.views if view.source == self.view.source), self.views[0])
        self._version = live.version
        seed_id = selected_seed(self.app)
        self.queue.read(self.run.store, self.view)
        if seed_id is not None:
            self.queue.move_to(seed_id)
        self._read_case()
        self._draw()

    def tick(self, live: LiveState) -> None:
        if live.version != self._version and time.monotonic() >= self.queue.due:
            self._version = live.version
            self._read()
            self._draw()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def on_candidate_box_candidate_chosen(self, message: CandidateBox.CandidateChosen) -> None:
        numbers = [candidate.number for candidate in self._candidates]
        if message.number in numbers:
            self.chosen = numbers.index(message.number)
            self._draw()

    def text_to_copy(self) -> str | None:
        candidates = self._candidates
        return whole(candidates[self.chosen]) if self.chosen < len(candidates) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return len(self.views) > 1 if action == "source" else True

    @property
    def _candidates(self) -> tuple[Candidate, ...]:
        return self.case.candidates if self.case else ()

    def _read(self) -> None:
        self.queue.read(self.run.store, self.view)
        self._read_case()

    def _read_case(self) -> None:
        """Read the current seed. For a new seed, select the candidate that it uses."""
        before, standing = self.case, self.queue.now
        self.case = read_case(self.run.store, self.view, standing) if standing else None
        if self.case is None or (before is not None and before.standing.seed_id == self.case.standing.seed_id):
            self.chosen = min(self.chosen, max(0, len(self._candidates) - 1))
            return
        ids = [candidate.id for candidate in self._candidates]
        shown = None if self.blind else self.case.counts
        self.chosen = ids.index(shown) if shown in ids else 0
        self.folded = None
        select_seed(self, self.case.standing.seed_id)
        self.query_one("#judge-question", VerticalScroll).scroll_home(animate=False)

    def _draw(self) -> None:
        self.set_class(self.case is None, "-empty")
        self._draw_status()
        if self.case is None:
            self.query_one("#judge-empty", LiteralText).show(self._why_empty())
            return
        self.query_one("#judge-question-text", LiteralText).show(
            self.case.question[:LIMIT] + rest(self.case.question)
        )
        self._draw_verdict(self.case)
        self._draw_boxes(self.case)

    def _draw_status(self) -> None:
        queue, line = self.queue, Text()
        if self.case is not None:
            name = f" {sanitize(self.case.label, 30)}" if self.case.label else ""
            line.append(f"seed {queue.index + 1:,} of {len(queue.shown):,}", "bold").append(name + "   ")
        line.append(f"source {self.view.source}   " if len(self.views) > 1 else "")
        line.append(f"{self._filter_label(queue.filter)}   ")
        if self.blind:
            line.append("blind: scores hidden, order kept", "bold magenta")
        else:
            same, of = queue.agreement()
            line.append(f"{same:,} of {of:,} overrides agree with the judge" if of else "no overrides yet")
        self.query_one("#judge-status", LiteralText).show(line)

    def _draw_verdict(self, case: Case) -> None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(case.override.created)) if case.override else ""
        text = verdict(case, self.blind, when)
        waiting = self.reasons.get(case.standing.seed_id)
        line = Text("Now: ", "bold").append(sanitize(text))
        if waiting:
            line.append(f"\nReason for your pick: {sanitize(waiting)}", "italic")
        self.query_one("#judge-verdict", LiteralText).show(line)

    def _draw_boxes(self, case: Case) -> None:
        candidates, room = case.candidates, min(MOST_BOXES, max(1, self.room.width // BOX_WIDTH))
        if len(candidates) > room and self.room.width < 3 * BOX_WIDTH:
            room = 1  # if only two of three candidates fit, show one candidate at full width
        first = max(0, min(self.chosen - room // 2, len(candidates) - room))
        visible = candidates[first : first + room]
        tabs = Text(" ")
        for index, candidate in enumerate(candidates):
            tabs.append(chip(case, candidate, self.blind, index == self.chosen)).append("   ")
        self.query_one("#judge-tabs", LiteralText).show(tabs)
        self.set_class(len(candidates) > room, "-tabs")
        for index, box in enumerate(self.query(CandidateBox)):
            box.display = index < len(visible)
            if index < len(visible):
                box.set_class(first + index == self.chosen, "-chosen")
                box.show(case, visible[index], self.blind, self.folded)

    def _filter_label(self, name: str) -> str:
        kind = self.queue.kind
        margin = f" (best two within {close_margin(kind):g})" if name == "close calls" else ""
        return f"{name}{margin}" if name != "all" else "all seeds"

    def _why_empty(self) -> str:
        if not self.view.source:
            return "This run has no source, so it has nothing to judge."
        if self.queue.everything:
            return f"No seed matches the filter “{self.queue.filter}”. Press F to change the filter."
        return "No candidates yet. The stage regenerate generates candidates."

    # Moving.

    def _go(self, moved: bool, otherwise: str) -> None:
        if not moved:
            self.app.notify(otherwise, markup=False)
            return
        self._read_case()
        self._draw()

    def action_next(self) -> None:
        self._go(self.queue.move(1), "this is the last seed")

    def action_previous(self) -> None:
        self._go(self.queue.move(-1), "this is the first seed")

    def action_first(self) -> None:
        self._go(self.queue.move(-len(self.queue.shown)), "this is the first seed")

    def action_last(self) -> None:
        self._go(self.queue.move(len(self.queue.shown)), "this is the last seed")

    def action_next_undecided(self) -> None:
        self._go(self.queue.move_undecided(1), "no later seed is undecided; press P to look for an earlier one")

    def action_previous_undecided(self) -> None:
        self._go(self.queue.move_undecided(-1), "no earlier seed is undecided; press N to look for a later one")

    def action_right(self) -> None:
        self._choose(1)

    def action_left(self) -> None:
        self._choose(-1)

    def _choose(self, by: int) -> None:
        if self._candidates:
            self.chosen = (self.chosen + by) % len(self._candidates)
            self._draw()

    def action_down(self) -> None:
        self._scroll_chosen(1)

    def action_up(self) -> None:
        self._scroll_chosen(-1)

    def action_page_down(self) -> None:
        self._scroll_chosen(0, 1)

    def action_page_up(self) -> None:
        self._scroll_chosen(0, -1)

    def _scroll_chosen(self, lines: int, pages: int = 0) -> None:
        for box in self.query(CandidateBox):
            if box.display and box.has_class("-chosen"):
                box.text.scroll_by(lines + pages * box.text.page)

    # Views.

    def action_filter(self) -> None:
        options = {name: f"{self._filter_label(name)}: {self.queue.count(name):,}" for name in FILTERS}
        self.app.push_screen(Menu("Which seeds to show", [Group("", options, self.queue.filter)]), self._filtered)

    def _filtered(self, choice: tuple[str, str] | None) -> None:
        if choice is not None:
            self.queue.show_only(choice[1])
            self._read_case()
            self._draw()

    def action_source(self) -> None:
        self.view = self.views[(self.views.index(self.view) + 1) % len(self.views)]
        self.case = None
        self._read()
        self._draw()

    def action_blind(self) -> None:
        self.blind = not self.blind
        if self.blind and self.queue.now is not None and self.queue.now.override is None:
            self.chosen = 0  # if the judge's pick stayed selected, the selection would reveal it
        self._draw()

    def action_fold(self) -> None:
        if self._candidates:
            shown = [box for box in self.query(CandidateBox) if box.display and box.has_class("-chosen")]
            self.folded = not shown[0].folded if shown else True
            self._draw()

    # Decisions.

    def action_pick_1(self) -> None:
        self._pick(1)

    def action_pick_2(self) -> None:
        self._pick(2)

    def action_pick_3(self) -> None:
        self._pick(3)

    def action_pick_this(self) -> None:
        if self.chosen < len(self._candidates):
            self._pick(self._candidates[self.chosen].number)

    def _pick(self, number: int) -> None:
        self._override(number, None)

    def action_reject(self) -> None:
        self._override(0, None)

    def _override(self, number: int, reason: str | None) -> None:
        """Pick candidate `number`. The number 0 rejects all candidates.

        If `reason` is None, use the reason stored for this seed.
        """
        if self.case is None:
            return
        seed_id, source = self.case.standing.seed_id, self.view.source
        why = self.reasons.get(seed_id, "") if reason is None else reason
        try:
            with short_lock_timeout(self.run.store):
                if number:
                    overrides.pick(self.run, seed_id, source, number, why)
                else:
                    overrides.reject(self.run, seed_id, source, why)
        except FaqError as error:
            self.app.notify(sanitize(str(error)), severity="error", markup=False)
            return
        self.reasons.pop(seed_id, None)
        numbers = [candidate.number for candidate in self._candidates]
        if number in numbers:
            self.chosen = numbers.index(number)
        self._read()
        self._draw()

    def action_undo(self) -> None:
        standing, store = self.queue.now, self.run.store
        here = standing.seed_id if standing is not None and standing.override is not None else None
        last = None if here else last_override(store, self.view.source, overrides.user())
        seed_id = here or (last.seed_id if last else None)
        if seed_id is None:
            self.app.notify("there is no override of yours to undo", markup=False)
            return
        with short_lock_timeout(store):
            overrides.give_back(self.run, seed_id, self.view.source, "undone")
        self.queue.read(store, self.view)
        self.queue.move_to(seed_id)
        self._read_case()
        self._draw()
        self.app.notify(f"undone: {seed_id} uses the judge's pick again", markup=False)

    def action_reason(self) -> None:
        if self.case is None:
            return
        standing = self.case.standing
        known = standing.override.reason if standing.override else self.reasons.get(standing.seed_id, "")
        what = "override" if standing.override else "next pick"
        prompt = f"Why? The reason is stored with your {what} of this seed"
        self.app.push_screen(Ask(prompt, known), lambda text: self._reasoned(standing.seed_id, text))

    def _reasoned(self, seed_id: str, text: str | None) -> None:
        if text is None or self.case is None or self.case.standing.seed_id != seed_id:
            return
        person = self.case.standing.override
        if person is None:
            self.reasons[seed_id] = text.strip()
            self._draw()
            return
        self._override(self.case.number(person.candidate_id) or 0, text.strip())
