"""The Evidence pane: the table of comparisons, the scatter, single items, and the paper's figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from faq_tui.core.report.headline import one_sentence
from faq_tui.core.run.run import Run
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.live import LiveState
from faq_tui.tui.pane import Pane
from faq_tui.tui.panes.evidence import items, lines, table
from faq_tui.tui.panes.evidence.data import (
    MATCHES,
    OVERVIEW,
    VIEWS,
    EvidenceViewState,
    LoadedEvidence,
    Reader,
    export,
)
from faq_tui.tui.panes.evidence.items import Entry, ItemView, Words, words_of
from faq_tui.tui.panes.evidence.line_list import Detail, Lines
from faq_tui.tui.panes.evidence.lines import Page, pages_of
from faq_tui.tui.panes.evidence.overview import EvidenceOverview
from faq_tui.tui.panes.evidence.paper import PaperView
from faq_tui.tui.panes.evidence.scatter import ScatterBox
from faq_tui.tui.panes.evidence.spec import EVIDENCE
from faq_tui.tui.panes.evidence.table import TableRow
from faq_tui.tui.panes.evidence.words import missing, run_parts, summary
from faq_tui.tui.widgets.covered import CoveredContainer, CoveredVertical
from faq_tui.tui.widgets.flow import FlowView
from faq_tui.tui.widgets.list import LineList
from faq_tui.tui.widgets.table import head
from faq_tui.tui.widgets.text import LiteralText

WIDE = 150  # minimum width in columns for a scatter plot beside the table
ROOM_FOR_PAPER = 26  # minimum height in lines for the paper's figures below the table
EVALUATE = "evaluate"
READING = "Reading the measurements …"


class Summary(LiteralText, can_focus=True):
    """The summary at the top. The summary takes the focus, so that the pane's keys work."""


class EvidencePane(Pane):
    """The pane Evidence. Daemon threads load the evidence and draw the scatter plot."""

    SPEC = EVIDENCE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(EVIDENCE.actions)]
    DEFAULT_CSS = (Path(__file__).parent / "evidence.tcss").read_text(encoding="utf-8")

    @dataclass
    class EvidenceLoaded(Message):
        """The thread that loads the figures has finished. The message holds the figures."""

        loaded: LoadedEvidence

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.loaded = LoadedEvidence(why=READING)
        self.view_state = EvidenceViewState()
        self.rows: list[TableRow] = []
        self.entries: list[Entry] = []
        self.opened: Entry | None = None
        self._cursors: dict[str, int] = {}  # maps a view to the last position of its cursor
        # The last computed pages of columns, as (rows, width, pages): the pages are valid only for these rows and
        # this width.
        self._fitted: tuple[object, int, list[Page]] | None = None
        self._seen: object = None
        self._when = ""  # when the stage evaluate runs, in words
        self._described: LoadedEvidence | None = None  # the evidence from which the view `run` was last filled
        self.reader = Reader(run.folder, self._post_loaded)

    def _post_loaded(self, loaded: LoadedEvidence) -> None:
        self.post_message(self.EvidenceLoaded(loaded))

    def compose(self) -> ComposeResult:
        yield Summary(id="evidence-summary")
        yield LiteralText(id="evidence-empty")
        with CoveredContainer(id="evidence-body"):
            with CoveredVertical(id="evidence-left"):
                yield LiteralText(id="evidence-head")
                yield Lines(id="evidence-lines")
                yield Detail(id="evidence-detail")
                yield ItemView(id="evidence-item")
                yield EvidenceOverview(id="evidence-overview")
                yield FlowView(id="evidence-run")
            with CoveredVertical(id="evidence-right"):
                yield ScatterBox(id="evidence-scatter")
                yield PaperView(id="evidence-paper")

    def shown(self, live: LiveState) -> None:
        self._when = live.when(EVALUATE)
        self.reader.look()
        self._fill()

    def tick(self, live: LiveState) -> None:
        seen = live.measured, live.stage and (live.stage.stage, live.stage.state)
        if seen != self._seen:
            self._seen = seen
            self.reader.look()
        if (when := live.when(EVALUATE)) != self._when:
            self._when = when
            self._fill()

    @property
    def busy(self) -> bool:
        """True while a thread of this pane is running."""
        return self.reader.busy or self.query_one(ScatterBox).busy

    def on_evidence_pane_evidence_loaded(self, event: EvidenceLoaded) -> None:
        event.stop()
        self.loaded = event.loaded
        self.view_state = self.view_state.fitted(self.loaded)
        self._fill()

    # Showing.

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def on_line_list_line_highlighted(self) -> None:
        self._draw_detail()

    def on_lines_widened(self, event: Lines.Widened) -> None:
        event.stop()
        self._draw_head()
        self._fit_detail()
        self.refresh_bindings()  # the width decides which columns are shown, and so which keys have an effect

    def on_line_list_line_clicked(self, event: LineList.LineClicked) -> None:
        if event.again and self.view_state.view == "items":
            self.action_open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        items = self.view_state.view == "items"
        return {
            "open": items and self.opened is None,
            "back": self.opened is not None,
            "left_model": items,
            "right_model": items,
            "match": self.view_state.view == "table",
            "metrics": self.view_state.view == "table",
            "columns": self.view_state.view == "table" and len(self._pages()) > 1,
        }.get(action, True)

    def text_to_copy(self) -> str | None:
        """The text of the open item or of the overview, or the table in the other views."""
        if self.loaded.evidence is None:
            return None
        if self.view_state.view == OVERVIEW:
            return f"{one_sentence(self.loaded.report)}.\n\n{self.query_one(EvidenceOverview).text()}"
        if self.opened is not None:
            return items.as_text(self.loaded, self.view_state, self.opened, self._words(self.opened))
        return table.as_text(self.loaded, self.view_state, self._when)

    def _fill(self) -> None:
        """Rebuild the rows after a change of the evidence or of the view."""
        self.rows = table.rows(self.loaded, self.view_state, self._when)
        self.entries = items.entries(self.loaded, self.view_state)
        if self.opened is not None:
            same = [e for e in self.entries if (e.text, e.number) == (self.opened.text, self.opened.number)]
            self.opened = same[0] if same else None
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        self._arrange()
        self.query_one("#evidence-empty", LiteralText).show(missing(self.loaded, self._when))
        self.query_one(Summary).show(summary(self.loaded, self.view_state, self._when))
        if self.loaded.evidence is None:
            return
        if self.opened is None:
            self._draw_lines()
            self._draw_detail()
        else:
            position = f"{self.entries.index(self.opened) + 1} of {len(self.entries)}"
            words = self._words(self.opened)
            self.query_one(ItemView).show(self.loaded, self.view_state, self.opened, words, position)
        if self._described is not self.loaded:
            self._described = self.loaded
            self.query_one("#evidence-run", FlowView).show(run_parts(self.loaded.report))
            self.query_one(EvidenceOverview).fill(self.loaded.report)
        self.query_one(PaperView).loaded = self.loaded
        self.query_one(ScatterBox).loaded = self.loaded
        self.refresh_bindings()

    def _words(self, entry: Entry) -> Words:
        names = self.view_state.left, self.view_state.right
        return words_of(self.run, self.loaded, names, entry.text, entry.number)

    @property
    def _paper(self) -> bool:
        """True if the paper's figures are shown. Without a choice by the user, they are shown if they fit."""
        if self.view_state.paper is None:
            return self.room.width >= WIDE and bool(self.loaded.paper)
        return self.view_state.paper

    @property
    def _only_paper(self) -> bool:
        """True if the pane is too small for both the table and the paper's figures, so that it shows only the
        figures.
        """
        small = self.room.width < WIDE and self.room.height < ROOM_FOR_PAPER
        return self._paper and small and self.opened is None

    def _arrange(self) -> None:
        """Arrange the widgets for the current size and view."""
        wide = self.room.width >= WIDE
        alone = self._only_paper
        scatter = wide or (self.view_state.view == "scatter" and not alone)
        self.set_class(self.loaded.evidence is None, "-empty")
        self.set_class(wide, "-wide")
        self.set_class(self.opened is not None, "-item")
        self.set_class(self.view_state.view == "run", "-run")
        self.set_class(self.view_state.view == OVERVIEW, "-overview")
        self.query_one("#evidence-left").display = wide or not (alone or scatter)
        self.query_one("#evidence-right").display = wide or scatter or self._paper
        self.query_one(ScatterBox).display = scatter
        self.query_one("#evidence-paper").display = self._paper

    def _pages(self, width: int | None = None) -> list[Page]:
        """Divide the table's columns into pages for lines of `width` cells.

        The default is the current width of the lines.
        """
        width = self.query_one(Lines).width if width is None else width
        if self._fitted is None or self._fitted[0] is not self.rows or self._fitted[1] != width:
            self._fitted = self.rows, width, pages_of(self.rows, width)
        return self._fitted[2]

    def _columns(self, width: int | None = None) -> Page:
        """The columns of the page that is shown."""
        pages = self._pages(width)
        return pages[self.view_state.page % len(pages)]

    def _draw_lines(self) -> None:
        lines = self.query_one(Lines)
        lines.show(len(self.entries if self.view_state.view == "items" else self.rows), self._line)
        self._draw_head()
        self._fit_detail()

    def _line(self, row: int, width: int) -> Text:
        if self.view_state.view == "items":
            return lines.item(self.loaded, self.view_state, self.entries[row], width)
        return lines.line(self.rows[row], self._columns(width), width)

    def _draw_head(self) -> None:
        if self.view_state.view == "items":
            names = lines.item_head(self.loaded, self.view_state, self.query_one(Lines).width)
        else:
            names = head(self._columns().values(), "bold")
        self.query_one("#evidence-head", LiteralText).show(names)

    def _fit_detail(self) -> None:
        items = self.view_state.view == "items"
        texts = [] if items else [row.detail for row in self.rows]
        self.query_one(Detail).fit(texts, self.room.height // 2)

    def _draw_detail(self) -> None:
        at, detail = self.query_one(Lines).cursor, self.query_one(Detail)
        if self.view_state.view != "items":
            detail.say(self.rows[at].detail if at < len(self.rows) else "")
        elif at < len(self.entries):
            entry = self.entries[at]
            detail.say(f"{self.loaded.title(entry.text)}: {entry.words}", "press enter to open the item")
        else:
            detail.say("No item flipped between right and wrong, and there are no two models to compare.")

    # Actions.

    def _show(self, view_state: EvidenceViewState) -> None:
        if self.loaded.evidence is None:
            return
        lines = self.query_one(Lines)
        self._cursors[self.view_state.view] = lines.cursor
        before, self.view_state = self.view_state, view_state
        if before.view != view_state.view:
            self.opened = None
        self._fill()
        if before.view != view_state.view:
            lines.show_at(self._cursors.get(view_state.view, 0))

    @property
    def arrangement(self) -> str:
        return self.view_state.view if self.view_state.chosen_view else ""

    def use_arrangement(self, layout: str) -> None:
        if layout in VIEWS:
            self.view_state = replace(self.view_state, view=layout, chosen_view=True)

    def action_view(self) -> None:
        order = [view for view in VIEWS if view != "scatter"] if self.room.width >= WIDE else list(VIEWS)
        index = order.index(self.view_state.view) if self.view_state.view in order else 0
        paper = False if self._only_paper else self.view_state.paper
        view = order[(index + 1) % len(order)]
        self._show(replace(self.view_state, view=view, chosen_view=True, paper=paper))

    def action_match(self) -> None:
        index = MATCHES.index(self.view_state.match)
        self._show(replace(self.view_state, match=MATCHES[(index + 1) % len(MATCHES)], chosen_match=True))

    def action_metrics(self) -> None:
        self._show(replace(self.view_state, every=not self.view_state.every))

    def action_columns(self) -> None:
        self._show(replace(self.view_state, page=self.view_state.page + 1))

    def action_paper(self) -> None:
        self._show(replace(self.view_state, paper=not self._paper))

    def action_left_model(self) -> None:
        self._show(self.view_state.next_model(self.loaded, "left"))

    def action_right_model(self) -> None:
        self._show(self.view_state.next_model(self.loaded, "right"))

    def action_open(self) -> None:
        at = self.query_one(Lines).cursor
        if self.view_state.view == "items" and at < len(self.entries):
            self.opened = self.entries[at]
            self._draw()

    def action_back(self) -> None:
        if self.opened is not None:
            self.opened = None
            self._draw()

    def action_down(self) -> None:
        self._move(1)

    def action_up(self) -> None:
        self._move(-1)

    def action_first(self) -> None:
        self._move(-(10**6))

    def action_last(self) -> None:
        self._move(10**6)

    def action_page_down(self) -> None:
        self._page(1)

    def action_page_up(self) -> None:
        self._page(-1)

    @property
    def _flow(self) -> FlowView | None:
        """The widget that is shown instead of the lines; None if the lines are shown."""
        if self._only_paper:
            return self.query_one(PaperView)
        if self.view_state.view == OVERVIEW:
            return self.query_one(EvidenceOverview)
        return self.query_one("#evidence-run", FlowView) if self.view_state.view == "run" else None

    def _page(self, by: int) -> None:
        if self.opened is not None:
            self.query_one(ItemView).scroll_by(by)
        elif (flow := self._flow) is not None:
            flow.scroll_by(by * flow.page)
        else:
            self._move(by * self.query_one(Lines).page)

    def _move(self, by: int) -> None:
        lines = self.query_one(Lines)
        if (flow := self._flow) is not None:
            flow.scroll_by(by)
            return
        lines.move(by)
        if self.opened is not None and lines.cursor < len(self.entries):
            self.opened = self.entries[lines.cursor]
            self._draw()

    def action_export(self) -> None:
        if self.loaded.evidence is None:
            self.notify("There is nothing to export yet.", markup=False)
            return
        export(self.run, self._say)

    def _say(self, message: str, failed: bool) -> None:
        self.post_message(self.Exported(message, failed))
