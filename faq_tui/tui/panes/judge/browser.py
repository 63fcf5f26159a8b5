"""The part of the Judge pane that shows seeds: one seed with its candidates, the list of seeds, and filters."""

from __future__ import annotations

import time
from functools import partial

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from faq_tui.core.base.text import sanitize
from faq_tui.core.judging.picking import FILTERS, close_margin
from faq_tui.core.run.run import Run
from faq_tui.core.source_views import views_of
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.judged import questions
from faq_tui.core.store.seed_pages import View
from faq_tui.tui.jobs_line import bar
from faq_tui.tui.live import LiveState
from faq_tui.tui.pane import Pane
from faq_tui.tui.panes.judge.candidate import CandidateBox, CandidateTabs, title, whole
from faq_tui.tui.panes.judge.case import Case, read_case, verdict
from faq_tui.tui.panes.judge.diff_view import DiffView
from faq_tui.tui.panes.judge.queue import JudgeQueue
from faq_tui.tui.panes.judge.review_list import WIDTH as LIST_WIDTH
from faq_tui.tui.panes.judge.review_list import ReviewList
from faq_tui.tui.panes.judge.spec import JUDGE
from faq_tui.tui.selection import select_seed, selected_seed
from faq_tui.tui.widgets.covered import CoveredHorizontal, CoveredVertical
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.menu import Group, Menu
from faq_tui.tui.widgets.text import LiteralText

MOST_BOXES = 6
LOW = 24  # in a pane with fewer lines than this, the answer comes before the details of the scores
BOX_WIDTH = 38  # minimum width of a candidate in cells
BAR, BAR_FROM = 20, 100  # width of the progress bar, and minimum width of a pane that shows the bar, in cells


class JudgeBrowser(Pane):
    """Shows one seed at a time, and moves between seeds and candidates.

    The subclass JudgePane adds the person's decisions.
    """

    SPEC = JUDGE

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.views: list[View] = [View()]
        self.view = View()
        self.queue = JudgeQueue(run.settings.judge.picks_by)
        self.case: Case | None = None
        self.chosen = 0  # index of the selected candidate
        self.blind = False
        self.comparing = False  # True shows two candidates with their different words marked
        self.folded: bool | None = None  # True folds all reasoning, False none; None folds only long reasoning
        self.reasons: dict[str, str] = {}  # maps a seed id to the reason for its next override
        self._version = -1

    def compose(self) -> ComposeResult:
        yield LiteralText(id="judge-status")
        yield LiteralText(id="judge-empty")
        with CoveredHorizontal(id="judge-main"):
            yield ReviewList(partial(questions, self.run.store))
            with CoveredVertical(id="judge-seed"):
                with VerticalScroll(id="judge-question", can_focus=False):
                    yield LiteralText(id="judge-question-text")
                yield LiteralText(id="judge-verdict")
                yield CandidateTabs(id="judge-tabs")
                with CoveredHorizontal(id="judge-boxes"):
                    for _ in range(MOST_BOXES):
                        yield CandidateBox()
                yield DiffView()

    # Showing.

    def use_run(self, run: Run) -> None:
        super().use_run(run)
        self.queue.kind = run.settings.judge.picks_by

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
        changed, due = live.version != self._version, time.monotonic() >= self.queue.due
        self.late = changed and not due
        if changed and due:
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

    def on_line_list_line_clicked(self, event: ReviewList.LineClicked) -> None:
        event.stop()
        self.queue.index = event.index
        self._read_case()
        self._draw()

    def text_to_copy(self) -> str | None:
        candidates = self._candidates
        return whole(candidates[self.chosen]) if self.chosen < len(candidates) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return len(self.views) > 1 if action == "source" else True

    @property
    def arrangement(self) -> str:
        return "" if self.folded is None else "folded" if self.folded else "unfolded"

    def use_arrangement(self, layout: str) -> None:
        self.folded = {"folded": True, "unfolded": False}.get(layout)

    def is_in_footer(self, action: str) -> bool:
        """The footer shows only the digits of candidates that the seed can have."""
        digit = action.removeprefix("pick_")
        return not digit.isdigit() or int(digit) <= max(1, self.view.candidates)

    @property
    def _candidates(self) -> tuple[Candidate, ...]:
        return self.case.candidates if self.case else ()

    def _read(self) -> None:
        self.queue.read(self.run.store, self.view)
        self._read_case()

    def _read_case(self) -> None:
        """Read the current seed. If the seed is new on the screen, select the candidate that the seed uses."""
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
        self._draw_list()
        if self.case is None:
            self.query_one("#judge-empty", LiteralText).show(self._why_empty())
            return
        self.query_one("#judge-question-text", LiteralText).show(
            self.case.question[:LIMIT] + rest(self.case.question)
        )
        self._draw_verdict(self.case)
        self.set_class(self.comparing and len(self._candidates) > 1, "-diff")
        if self.has_class("-diff"):
            self._draw_diff(self.case)
        else:
            self._draw_boxes(self.case)

    def _draw_status(self) -> None:
        queue, line = self.queue, Text()
        if self.case is not None:
            name = f" {sanitize(self.case.label, 30)}" if self.case.label else ""
            line.append(f"seed {queue.index + 1:,} of {len(queue.shown):,}", "bold").append(name + "   ")
            done, total = queue.progress()
            if self.room.width >= BAR_FROM and total:
                line.append_text(bar(done / total, BAR)).append(" ")
            line.append(f"{done:,} of {total:,} reviewed   ")
        line.append(f"source {self.view.source}   " if len(self.views) > 1 else "")
        if queue.filter != "all" or self.room.width >= BAR_FROM:
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

    def _draw_list(self) -> None:
        """Show the list of seeds if the candidates still fit beside it."""
        boxes = max(1, min(3, self.view.candidates)) * BOX_WIDTH
        self.set_class(self.case is not None and self.room.width >= LIST_WIDTH + boxes, "-list")
        if self.has_class("-list"):
            self.query_one(ReviewList).show(self.queue.shown, self.queue.index, self.blind)

    def _draw_tabs(self, case: Case) -> None:
        self.query_one(CandidateTabs).show_tabs(case, self.blind, self.chosen)

    def _draw_diff(self, case: Case) -> None:
        left, right = (case.candidates[index] for index in self._compared(case))
        sides = [
            (title(case, candidate, self.blind, whole=self.room.width >= BAR_FROM), candidate)
            for candidate in (left, right)
        ]
        self.query_one(DiffView).show(*sides)

    def _compared(self, case: Case) -> tuple[int, int]:
        """The indexes of the two compared candidates.

        The left candidate is the one that the seed uses, or the first one if the seed uses none. The right candidate
        is the selected one. If the selected candidate is already on the left, the next candidate is on the right.
        """
        ids = [candidate.id for candidate in case.candidates]
        used = None if self.blind and case.standing.override is None else case.counts
        left = ids.index(used) if used in ids else 0
        return left, self.chosen if self.chosen != left else (left + 1) % len(ids)

    def _draw_boxes(self, case: Case) -> None:
        width = self.room.width - (LIST_WIDTH if self.has_class("-list") else 0)
        candidates, room = case.candidates, min(MOST_BOXES, max(1, width // BOX_WIDTH))
        if len(candidates) > room and width < 3 * BOX_WIDTH:
            room = 1  # if only two of three or more candidates fit side by side, show one candidate at full width
        first = max(0, min(self.chosen - room // 2, len(candidates) - room))
        visible = candidates[first : first + room]
        self._draw_tabs(case)
        self.set_class(len(candidates) > room, "-tabs")
        for index, box in enumerate(self.query(CandidateBox)):
            box.display = index < len(visible)
            if index < len(visible):
                box.set_class(first + index == self.chosen, "-chosen")
                box.show(case, visible[index], self.blind, self.folded, low=self.room.height < LOW)

    def _filter_label(self, name: str) -> str:
        kind = self.queue.kind
        margin = f" (best two within {close_margin(kind):g})" if name == "close calls" else ""
        return f"{name}{margin}" if name != "all" else "all seeds"

    def _why_empty(self) -> str:
        if not self.view.source:
            return "This run has no source, so it has nothing to judge."
        if self.queue.everything:
            return f"No seed matches the filter “{self.queue.filter}”. Press f to change the filter."
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
            if self.case is not None and self.has_class("-diff") and self.chosen == self._compared(self.case)[0]:
                # Skip the candidate on the left side, because it must not be compared with itself.
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
        if self.has_class("-diff"):
            self.query_one(DiffView).scroll_text(lines, pages)
            return
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
            self.chosen = 0  # select the first candidate, because the old selection could reveal the judge's pick
        self._draw()

    def action_compare(self) -> None:
        if len(self._candidates) < 2:
            self.app.notify("there is no second candidate to compare with", markup=False)
            return
        self.comparing = not self.comparing
        if self.comparing and self.case is not None:
            self.chosen = self._compared(self.case)[1]
        self._draw()

    def action_fold(self) -> None:
        if self._candidates:
            shown = [box for box in self.query(CandidateBox) if box.display and box.has_class("-chosen")]
            self.folded = not shown[0].folded if shown else True
            self._draw()
