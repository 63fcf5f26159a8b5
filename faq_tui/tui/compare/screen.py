"""The screen that compares two runs. Both the list of runs and the app of one run can open this screen."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.run_comparison import RunComparison, compare_runs
from faq_tui.core.run_comparison.comparison import pick_sentences
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.compare.answers import AnswersScreen
from faq_tui.tui.compare.overview import overview_parts
from faq_tui.tui.compare.pick_list import PickList
from faq_tui.tui.compare_actions import ACTIONS, COMPARE
from faq_tui.tui.config import config_path
from faq_tui.tui.footer import KeyFooter
from faq_tui.tui.keys import first_key
from faq_tui.tui.screens.help import HelpScreen
from faq_tui.tui.widgets.flow import BAR, FlowView
from faq_tui.tui.widgets.text import LiteralText

OVERVIEW, PICKS = "overview", "picks"
WIDE = 160  # from this width in cells on, both views are shown side by side
ALWAYS = ("compare.help", "compare.close")
COMPARING = "Comparing the two runs …"


class CompareScreen(ModalScreen[None]):
    """Two views: settings and evidence of both runs, and the questions for which they use different answers.

    A thread reads the runs, because the intervals of the evidence take some time.
    """

    DEFAULT_CSS = (Path(__file__).parents[1] / "compare.tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(ACTIONS)]

    def __init__(self, one: Path, other: Path, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._folders = one, other
        self._keymap = keymap or {}
        self.comparison: RunComparison | None = None
        self._view = OVERVIEW
        self._drawn_width = 0
        self._header, self._footer = LiteralText(id="compare-header"), KeyFooter(id="compare-footer")
        self._overview, self._list = FlowView(id="compare-overview"), PickList(id="compare-list")
        self._summary, self._columns = LiteralText(id="compare-summary"), LiteralText(id="compare-columns")

    def compose(self) -> ComposeResult:
        yield self._header
        with Horizontal(id="compare-body"):
            yield self._overview
            with Vertical(id="compare-picks"):
                yield self._summary
                yield self._columns
                yield self._list
        yield self._footer

    def on_mount(self) -> None:
        self._overview.show([(COMPARING, "dim")])
        self._footer.always = [(self._key(a.id), a.label) for a in ACTIONS if a.id in ALWAYS]
        self._arrange()
        threading.Thread(target=self._read, name="compare-runs", daemon=True).start()

    def _key(self, action_id: str) -> str:
        """Textual's name of the action's key."""
        return first_key(ACTIONS, action_id, self._keymap)

    def _read(self) -> None:
        try:
            found: RunComparison | str = compare_runs(*self._folders)
        except (FaqError, OSError) as error:
            found = str(error)
        except Exception as error:  # noqa: BLE001  a fault in a run must not end the app
            found = f"the runs cannot be compared ({type(error).__name__}: {error})"
        try:
            self.app.call_from_thread(self._show, found)
        except RuntimeError:
            return  # the app has ended

    def _show(self, found: RunComparison | str) -> None:
        if not self.is_attached:
            return
        if isinstance(found, str):
            self._overview.show([(sanitize(found), "bold red")])
            return
        self.comparison = found
        self._list.fill(found.picks.differing)
        self._summary.show(sanitize(" ".join(pick_sentences(found.picks))))
        self._arrange()
        self._draw()

    def on_resize(self) -> None:
        self._arrange()
        self.call_after_refresh(self._draw)

    @property
    def _wide(self) -> bool:
        return self.size.width >= WIDE

    def _arrange(self) -> None:
        """Show the view, or both views in a wide terminal."""
        for name in (OVERVIEW, PICKS):
            self.set_class(self._view == name, f"-{name}")
        self.set_class(self._wide, "-wide")
        names = self.comparison.names if self.comparison else tuple(folder.name for folder in self._folders)
        view = "settings and evidence" if self._view == OVERVIEW else "picks that differ"
        keys = "" if self._wide and not self._list.differing else f"  ·  {view}"
        self._header.show(sanitize(f"Compare  A {names[0]}  B {names[1]}{keys}"))
        usable = [a for a in ACTIONS if a.footer and a.id not in ALWAYS]
        usable = [a for a in usable if a.name != "open" or (self._list.differing and self._view == PICKS)]
        self._footer.keys = [(self._key(action.id), action.label) for action in usable]

    def _draw(self) -> None:
        """Draw the overview for its present width."""
        width = self._overview.content_size.width - BAR
        if self.comparison is not None and width > 0 and width != self._drawn_width:
            self._drawn_width = width
            self._overview.show(overview_parts(self.comparison, width))
        self._columns.show(self._list.heading(max(1, self._list.content_size.width)))

    # Actions.

    def action_view(self) -> None:
        self._view = PICKS if self._view == OVERVIEW else OVERVIEW
        self._arrange()
        self.call_after_refresh(self._draw)

    def action_open(self) -> None:
        if self._view == OVERVIEW:
            self.action_view()
        elif self._list.selected is not None:
            self.app.push_screen(AnswersScreen(self._folders, self._list.differing, self._list.cursor, self._follow))

    def _follow(self, index: int) -> None:
        self._list.cursor = index

    def on_line_list_line_clicked(self, message: PickList.LineClicked) -> None:
        message.stop()
        if self._view != PICKS:
            self.action_view()
        elif message.again:
            self.action_open()

    def _move(self, lines: int) -> None:
        if self._view == OVERVIEW:
            self._overview.scroll_by(lines)
        else:
            self._list.move(lines)

    def action_down(self) -> None:
        self._move(1)

    def action_up(self) -> None:
        self._move(-1)

    def action_page_down(self) -> None:
        self._move(self._overview.page if self._view == OVERVIEW else self._list.page)

    def action_page_up(self) -> None:
        self._move(-(self._overview.page if self._view == OVERVIEW else self._list.page))

    def action_first(self) -> None:
        self._move(-(10**9))

    def action_last(self) -> None:
        self._move(10**9)

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen("compare", ACTIONS, (COMPARE,), self._keymap, str(config_path())))

    def action_close(self) -> None:
        self.dismiss()
