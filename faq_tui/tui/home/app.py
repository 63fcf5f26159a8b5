"""The program that shows all runs.

When the user opens a run, this program ends, and its caller opens the run in `FaqApp`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.run.delete_run import Deletion, delete_run, plan_deletion
from faq_tui.core.run.known_runs import forget
from faq_tui.core.run_summary import RunSummary
from faq_tui.core.settings.write import write_demo
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.compare.screen import CompareScreen
from faq_tui.tui.config import Config, config_path
from faq_tui.tui.footer import KeyFooter
from faq_tui.tui.home.dialogs import DELETE, DeleteScreen, MachineScreen
from faq_tui.tui.home.rows import details, in_order, matches
from faq_tui.tui.home.run_list import RunList
from faq_tui.tui.home.scan import RunScanner
from faq_tui.tui.home_actions import ACTIONS, HOME
from faq_tui.tui.keys import first_key, shown
from faq_tui.tui.registry import APP_ACTIONS
from faq_tui.tui.screens.help import HelpScreen
from faq_tui.tui.shell import ShellApp
from faq_tui.tui.widgets.ask import Ask
from faq_tui.tui.widgets.list import LineList, index_of
from faq_tui.tui.widgets.text import LiteralText
from faq_tui.tui.wizard.screen import NewRun, WizardScreen

DEMO_FOLDER = "faq-demo"
HZ, LOW_HZ = 10, 2
STALE_AFTER_S = 0.4  # a run must be selected this long before its stages are checked
DETAIL_LINES = 6
SHARED = tuple(action for action in APP_ACTIONS if action.name in ("theme", "help", "quit"))
ALWAYS = ("app.help", "app.quit")
NEED_A_RUN = ("open", "delete", "search", "mark", "compare")
WELCOME = """\
There is no run in this folder yet. A run is a folder with the settings and results of one model to quantize.

{new}  creates a run in five steps: model, questions, answers, recipe, plan.
{demo}  tries the demo without GPU and server: 93 MB, 5 minutes on two cores.
{doctor}  checks this machine: Python, packages, GPU, memory and disk."""
SEARCHING = "Searching for runs …"


@dataclass(frozen=True)
class Choice:
    """The run that the user opens. If `start` is true, the run's pipeline starts at once."""

    folder: Path
    start: bool = False


class HomeApp(ShellApp):
    """Shows the runs. `choice` is the run to open next, or None if the user has left the app."""

    CSS_PATH = Path(__file__).with_name("home.tcss")
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of((*ACTIONS, *SHARED))]

    def __init__(
        self,
        here: Path,
        config: Config | None = None,
        notice: str = "",
        clock: Callable[[], float] = time.time,
        select: Path | None = None,
    ) -> None:
        """`here` is the folder in which the app looks for runs. `select` is the run that is selected first. `notice`
        is a message about the run that was open before.

        Tests replace `clock`.
        """
        super().__init__(config)
        self.here = here.resolve()
        self.choice: Choice | None = None
        self.clock, self._notice, self._select = clock, notice, select
        self._runs: dict[Path, RunSummary] = {}
        self._moved = False  # True once the user has moved the cursor; until then, the cursor stays in the first line
        self._search = ""
        self._stale: dict[Path, list[str]] = {}
        self._selected_at, self._asked = 0.0, set[Path]()
        self._scanner = RunScanner(self.here)
        self._complete = False  # True if the list shows all runs that exist
        self._list = RunList(self.here, clock)
        self._header, self._columns = LiteralText(id="header"), LiteralText(id="columns")
        self._details, self._welcome = LiteralText(id="details"), LiteralText(SEARCHING, id="welcome")
        self._footer = KeyFooter()

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._columns
        yield self._list
        yield self._welcome
        yield self._details
        yield self._footer

    def on_mount(self) -> None:
        if self._notice:
            self.say(self._notice, timeout=15)
        self._footer.always = [(self._raw_key(a.id), a.label) for a in SHARED if a.id in ALWAYS]
        self._scanner.start()
        self._draw()
        self.set_interval(1 / (LOW_HZ if self.config.low_bandwidth else HZ), self._pump)

    def on_unmount(self) -> None:
        self._scanner.close()

    def on_resize(self) -> None:
        self._draw_heading()

    def action_help_quit(self) -> None:
        """Handle ctrl+c: show the app's key for leaving. Textual's own message would show Textual's default key."""
        self.say(f"{self._key('app.quit')} leaves")

    @property
    def selected(self) -> RunSummary | None:
        return self._list.selected

    # Show what the scanner thread has read.

    def _pump(self) -> None:
        # read `complete` before the results: if it is true, the results are complete, too
        self._complete = self._scanner.complete
        news, gone = self._scanner.take(), self._scanner.take_gone()
        self._stale.update(self._scanner.take_stale())
        for run in news:
            if run.changed != getattr(self._runs.get(run.folder), "changed", run.changed):
                self._stale.pop(run.folder, None)
                self._asked.discard(run.folder)
            self._runs[run.folder] = run
        for folder in gone:
            self._runs.pop(folder, None)
        if news or gone:
            self._draw()
        self._ask_stale(self.selected)
        self._draw_details()

    def _ask_stale(self, run: RunSummary | None) -> None:
        """Once the run has been selected for a moment, let a thread find the stages that are out of date."""
        if run is None or run.folder in self._asked or self.clock() - self._selected_at < STALE_AFTER_S:
            return
        self._asked.add(run.folder)
        if run.state not in ("broken", "new", "running"):
            self._scanner.ask_stale(run.folder)

    def _draw(self) -> None:
        before = self.selected
        wanted = before.folder if before is not None and self._moved else self._select
        shown_runs = in_order(run for run in self._runs.values() if matches(run, self._search))
        self._list.runs = shown_runs
        self._list.count = len(shown_runs)
        folders = [run.folder for run in shown_runs]
        self._list.cursor = index_of(wanted, folders, self._list.cursor if self._moved else 0)
        self._list.refresh()
        self.set_class(not shown_runs, "-empty")
        self._draw_heading()
        self._draw_details()
        self._draw_keys()

    def _draw_heading(self) -> None:
        width = self.size.width - 2
        count = f"{len(self._list.runs)} of {len(self._runs)}" if self._search else f"{len(self._runs)}"
        found = f"{count} {'run' if count == '1' else 'runs'}" + (f' with "{self._search}"' if self._search else "")
        self._header.show(Text.assemble(("faq-tui", "bold"), f"  {sanitize(found)}  {sanitize(str(self.here))}"))
        self._columns.show(self._list.heading(width))
        if self._search:
            key = self._key("home.clear")
            self._welcome.show(f'No run contains "{sanitize(self._search)}". {key} shows all runs.')
        elif not self._complete:
            self._welcome.show(SEARCHING)
        else:
            keys = {name: self._key(f"home.{name}") for name in ("new", "demo", "doctor")}
            self._welcome.show(WELCOME.format(**keys))

    def _draw_details(self) -> None:
        run = self.selected
        if run is None:
            if self._complete and not self._runs:
                self._draw_heading()
            return
        lines = details(run, self._stale.get(run.folder))
        text = Text("\n").join(Text(line, self._list.style_of(role)) for line, role in lines[:DETAIL_LINES])
        self._details.show(text)

    def _draw_keys(self) -> None:
        usable = [a for a in ACTIONS if a.footer and (self._list.runs or a.name not in NEED_A_RUN)]
        self._footer.keys = [(self._raw_key(action.id), action.label) for action in usable]

    def _key(self, action_id: str) -> str:
        """The readable name of an action's key."""
        return shown(self._raw_key(action_id))

    def _raw_key(self, action_id: str) -> str:
        """Textual's name of this key."""
        return first_key((*ACTIONS, *SHARED), action_id, self.keymap)

    def on_line_list_line_highlighted(self) -> None:
        self._selected_at = self.clock()
        self._draw_details()

    def on_line_list_line_clicked(self, message: LineList.LineClicked) -> None:
        self._moved = True
        if message.again:
            self.action_open()

    # Actions.

    def action_open(self) -> None:
        run = self.selected
        if run is None:
            self.say("there is no run to open")
        elif run.state == "broken":
            self.complain(run.message)
        else:
            self.leave(Choice(run.folder))

    def leave(self, choice: Choice) -> None:
        self.choice = choice
        self.exit()

    def action_demo(self) -> None:
        folder = self.here / DEMO_FOLDER
        try:
            write_demo(folder)
        except FaqError as error:
            self.complain(str(error))
            return
        except OSError as error:
            self.complain(f"{folder} cannot be created: {error.strerror}; start faq-tui in another folder")
            return
        self.leave(Choice(folder, start=True))

    def action_new(self) -> None:
        def created(run: NewRun | None) -> None:
            if run is not None:
                self.leave(Choice(run.folder, run.start))

        self.push_screen(WizardScreen(self.here), created)

    def action_doctor(self) -> None:
        self.push_screen(MachineScreen(self.here))

    def action_delete(self) -> None:
        run = self.selected
        if run is None:
            self.say("there is no run to delete")
            return
        self._in_thread(partial(plan_deletion, run.folder), self._ask_deletion)

    def _ask_deletion(self, plan: Deletion) -> None:
        def answered(answer: str | None) -> None:
            if answer == DELETE:
                self._in_thread(partial(self._delete, plan), self._deleted)

        self.push_screen(DeleteScreen(plan), answered)

    def _delete(self, plan: Deletion) -> Deletion:
        delete_run(plan.folder)
        forget(plan.folder)
        return plan

    def _deleted(self, plan: Deletion) -> None:
        self._runs.pop(plan.folder, None)
        self._scanner.reload()
        self.say(f"deleted the run {plan.folder}")
        self._draw()

    def _in_thread(self, work: Callable[[], Deletion], then: Callable[[Deletion], None]) -> None:
        """Call `work` in a thread. Then call `then` with the result of `work` on the UI thread.

        If `work` fails, show the reason.
        """

        def run() -> None:
            try:
                result = work()
            except FaqError as error:
                self.call_from_thread(self._failed, str(error))
            except OSError as error:
                self.call_from_thread(self._failed, f"{error.filename}: {error.strerror}")
            else:
                self.call_from_thread(then, result)

        threading.Thread(target=run, name="delete-run", daemon=True).start()

    def _failed(self, sentence: str) -> None:
        self._scanner.reload()
        self.complain(sentence)

    def action_mark(self) -> None:
        if self.selected is not None:
            self._list.toggle_mark(self.selected.folder)

    def action_compare(self) -> None:
        """Compare the two marked runs, or the marked run with the selected run."""
        chosen = [folder for folder in self._list.marked if folder in self._runs]
        run = self.selected
        if len(chosen) < 2 and run is not None and run.folder not in chosen:
            chosen.append(run.folder)
        if len(chosen) < 2:
            self.say(f"mark a run with {self._key('home.mark')}, then select another run and press this key again")
            return
        broken = [self._runs[folder] for folder in chosen if self._runs[folder].state == "broken"]
        if broken:
            self.complain(broken[0].message)
        else:
            self.push_screen(CompareScreen(chosen[0], chosen[1], self.keymap))

    def action_search(self) -> None:
        def keep(text: str | None) -> None:
            if text is not None:
                self._search = text.strip()
                self._draw()

        self.push_screen(Ask("Part of a name or target", self._search), keep)

    def action_clear(self) -> None:
        self._search = ""
        self._draw()

    def action_reload(self) -> None:
        self._scanner.reload()

    def _move_to(self, index: int) -> None:
        self._moved = True
        self._list.cursor = index

    def action_down(self) -> None:
        self._move_to(self._list.cursor + 1)

    def action_up(self) -> None:
        self._move_to(self._list.cursor - 1)

    def action_page_down(self) -> None:
        self._move_to(self._list.cursor + self._list.page)

    def action_page_up(self) -> None:
        self._move_to(self._list.cursor - self._list.page)

    def action_first(self) -> None:
        self._move_to(0)

    def action_last(self) -> None:
        self._move_to(len(self._list.runs) - 1)

    def action_help(self) -> None:
        self.push_screen(HelpScreen("home", (*ACTIONS, *SHARED), (HOME,), self.keymap, str(config_path())))

    async def action_quit(self) -> None:
        self.exit()
