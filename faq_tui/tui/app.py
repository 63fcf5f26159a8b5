"""The app: it composes the screen and switches the panes. The module `controller` has the app's actions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingsMap, BindingType
from textual.keys import key_to_character
from textual.screen import Screen

from faq_tui.core.base.errors import FaqError
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.run_plan import RunPlan
from faq_tui.tui.actions import APP, Action, bindings_of
from faq_tui.tui.config import Config
from faq_tui.tui.controller import AppController
from faq_tui.tui.footer import KeyFooter
from faq_tui.tui.gpu import MachineSampler
from faq_tui.tui.header import Header, Machine, TabLine
from faq_tui.tui.jobs_line import JobsLine
from faq_tui.tui.keys import keys_of, shown
from faq_tui.tui.last_view import RunView, last_view, remember_view
from faq_tui.tui.notices import title_of
from faq_tui.tui.palette import ActionCommands
from faq_tui.tui.pane import Pane, PaneSpec
from faq_tui.tui.panes import PANES
from faq_tui.tui.plan_watch import PlanWatch
from faq_tui.tui.player import Player
from faq_tui.tui.registry import APP_ACTIONS, registry, show_actions
from faq_tui.tui.run_version import version_of
from faq_tui.tui.screens.base import BaseScreen, PaneSwitcher
from faq_tui.tui.screens.quit import STAY, JobQuestion
from faq_tui.tui.screens.run_menu import RunMenu
from faq_tui.tui.session import Session
from faq_tui.tui.settings.watch import SettingsWatch
from faq_tui.tui.stage_marks import marks_of_panes

HZ, LOW_HZ = 10, 2
# After the pane has read what another program changed, it reads such changes again after this many seconds at the
# earliest, and after this many times as long as the read took.
READ_EVERY_S, READ_SHARE = 1.0, 20
# The footer shows the keys of these actions at every width.
ALWAYS = ("app.start", "app.stop", "app.help", "app.quit")
WHEN_BUSY = {"app.start": False, "app.stop": True}


class FaqApp(AppController):
    """The app for one run. If `player` is set, the app plays the player's recording and does not change the run."""

    CSS_PATH = Path(__file__).with_name("app.tcss")
    COMMANDS: ClassVar = {ActionCommands}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(APP_ACTIONS)]

    def __init__(
        self,
        folder: Path,
        config: Config | None = None,
        player: Player | None = None,
        start: bool = False,
        clock: Callable[[], float] = time.time,
        sampler: MachineSampler | None = None,
        panes: tuple[PaneSpec, ...] = PANES,
        plan_watch: Callable[[Path, Callable[[RunPlan], None]], PlanWatch] = PlanWatch,
    ) -> None:
        """`start` starts the pipeline as soon as the app is open.

        Tests replace `clock`, `sampler`, `panes` and `plan_watch`. Raises UsageError if `folder` holds no run.
        """
        super().__init__(config)
        self.specs, self.actions = panes, registry(panes)
        self._action = {action.id: action for action in self.actions}
        self._bindings = BindingsMap.merge([self._bindings, BindingsMap(bindings_of(show_actions(panes)))])
        self._resources = ExitStack()
        self.opened = self._resources.enter_context(open_run(folder, read_only=player is not None))
        self.clock = player.clock if player else clock
        self.session = Session(self.opened.folder, self.complain)
        self.plan_watch = plan_watch(self.opened.folder, self._on_plan)
        self.settings_watch = SettingsWatch(self.opened.folder / "faq.toml", self._on_settings, self._on_refused)
        self.sampler = sampler or MachineSampler()
        self.panes: dict[str, Pane] = {pane.scope: pane.load()(self.opened) for pane in panes}
        # The app keeps references to these widgets, because a query searches only the topmost screen, which may be a
        # dialogue.
        self._header = Header(self.opened, player.badge if player else "")
        self._machine, self._jobs, self._footer = Machine(id="machine"), JobsLine(), KeyFooter()
        self._tabs = TabLine(tuple(self.panes), self._machine)
        self._view = last_view(self.opened.folder) if player is None else RunView()
        self._first_pane = self._view.pane if self._view.pane in self.panes else next(iter(self.panes))
        self._switcher = PaneSwitcher(initial=self._first_pane)
        self.player, self._start_at_once = player, start
        self._drawn_version, self._drawn_at, self._drawn_phase = -1, 0.0, ""
        self._version = self._version_now()  # of the data that the pane shows
        self._read_due = 0.0  # earliest time of the next read of such data, on the clock time.monotonic
        self._keys_due = False

    def get_default_screen(self) -> Screen[Any]:
        return BaseScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._tabs
        yield self._jobs
        with self._switcher:
            yield from self.panes.values()
        yield self._footer

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self._keys_changed())
        for scope, layout in self._view.layouts.items():
            if scope in self.panes:
                self.panes[scope].use_arrangement(layout)
        self.show_pane(self._first_pane)
        self._show_keys()  # draw the keys at once, so that they are already on the first screen
        self.sampler.start()
        if self.player is not None:
            self.session.play(self.player)
        else:
            self.session.open()
            self.plan_watch.open()
            self.settings_watch.open()
            if self._start_at_once:
                self.session.start()
        self.set_interval(1 / self.hz, self._pump)

    def on_unmount(self) -> None:
        if self.player is None:
            layouts = {scope: pane.arrangement for scope, pane in self.panes.items() if pane.arrangement}
            remember_view(self.opened.folder, RunView(self.pane.SPEC.scope, layouts))
        self.session.close()
        self.plan_watch.close()
        self.settings_watch.close()
        self.sampler.close()
        self._resources.close()

    def _on_plan(self, plan: RunPlan) -> None:
        """A thread calls this method with each new plan."""
        try:
            self.call_from_thread(self._show_plan, plan)
        except RuntimeError:
            return  # the app has ended

    def _show_plan(self, plan: RunPlan) -> None:
        self.plan = plan
        self._tabs.show_marks(marks_of_panes(plan))
        if isinstance(self.screen, RunMenu):
            self.screen.show_plan(plan)

    # Showing.

    def show_run(self, run: Run) -> None:
        self._header.use_run(run, refused=bool(self.settings_problem))
        for pane in self.panes.values():
            pane.use_run(run)
        # while the app starts or ends, the pane has no widgets
        if self.is_running and self.pane.is_mounted and self.pane.children:
            self.pane.shown(self.session.live)

    @property
    def hz(self) -> int:
        """How many times per second the screen may change without a key press."""
        return LOW_HZ if self.config.low_bandwidth else HZ

    @property
    def pane(self) -> Pane:
        return self.panes[self._switcher.current or ""]

    @property
    def _base(self) -> Screen[Any]:
        """The screen of the panes. A dialogue may cover this screen."""
        return self.screen_stack[0]

    def show_pane(self, scope: str) -> None:
        self._switcher.current = scope
        pane = self.panes[scope]
        pane.open(self.session.live)
        focused = self._base.focused
        if focused is None or pane not in focused.ancestors_with_self:
            self._base.set_focus(pane, scroll_visible=False)
        self._keys_changed()

    def _keys_changed(self) -> None:
        """Draw the keys in the footer once, after the next refresh.

        One draw is enough, although showing a pane changes the bindings several times.
        """
        if not self._keys_due:
            self._keys_due = True
            self.call_after_refresh(self._show_keys)

    def _show_keys(self) -> None:
        self._keys_due = False
        pane = self.pane
        taken = {key for action in pane.SPEC.actions for key in keys_of(action, self.keymap)}
        labels = {}
        for scope in self.panes:
            action = self._action[f"{APP}.show_{scope}"]
            free = [key for key in keys_of(action, self.keymap) if key not in taken]
            labels[scope] = (shown(free[0]) if free and len(free[0]) == 1 else "", action.label)
        switch = " ".join(self.key("app.previous_pane") + self.key("app.next_pane"))
        if not any(key for key, _ in labels.values()):
            # The visible pane uses all digits itself, so show the other keys that switch panes.
            others = [key for scope in self.panes for key in self._others(scope)[:1]]
            switch = f"{others[0]}-{others[-1]} {switch}" if others else switch
        self._tabs.show(pane.SPEC.scope, labels, switch)
        here = [*pane.SPEC.actions, *APP_ACTIONS]
        keys = [(self._raw_key(a.id), a.label, a.id in ALWAYS) for a in here if a.footer and self._is_possible(a)]
        self._footer.always = [(key, label) for key, label, always in keys if key and always]
        self._footer.keys = [(key, label) for key, label, always in keys if key and not always]

    def _others(self, scope: str) -> list[str]:
        """The keys of the pane `scope` that are not a single character, such as ctrl+3."""
        return [shown(key) for key in keys_of(self._action[f"{APP}.show_{scope}"], self.keymap) if len(key) > 1]

    def key(self, action_id: str) -> str:
        """The readable name of an action's key; "" if the focused widget reads this key as text."""
        return shown(self._raw_key(action_id))

    def _raw_key(self, action_id: str) -> str:
        """Textual's name of the action's first key that the focused widget does not read as text; "" if there is
        none.
        """
        focused = self._base.focused
        for key in keys_of(self._action[action_id], self.keymap):
            if focused is None or not focused.check_consume_key(key, key_to_character(key)):
                return key
        return ""

    @property
    def _keys_of_jobs(self) -> tuple[str, str]:
        """The keys for start and stop."""
        return self.key("app.start"), self.key("app.stop")

    def action_help_quit(self) -> None:
        """Handle ctrl+c: show the app's key for leaving, where Textual would show its own default key."""
        self.say(f"{self.key('app.quit') or 'ctrl+q'} leaves")

    def _is_possible(self, action: Action) -> bool:
        if action.id in WHEN_BUSY:
            return self.player is None and self.session.busy is WHEN_BUSY[action.id]
        if action.scope == APP:
            return bool(self.check_action(action.command, ()))
        return self.pane.is_in_footer(action.name) and bool(self.pane.check_action(action.command, ()))

    def _pump(self) -> None:
        if not (self.is_running and self.pane.is_attached and self.pane.is_mounted):
            return  # the app is starting or ending, so there is no pane to draw
        self.session.pump()
        now, live = self.clock(), self.session.live
        self._machine.sample = self.sampler.latest
        self._jobs.show_session(self.session, now, self._keys_of_jobs, self.plan, self.key("app.errors"))
        self.show_title(title_of(self.opened.folder.name, self.session))
        if self.session.phase != self._drawn_phase:
            before, self._drawn_phase = self._drawn_phase, self.session.phase
            if self._drawn_phase == "idle" and before in ("running", "stopping"):
                self._job_ended()
                if isinstance(self.screen, JobQuestion):
                    self.screen.dismiss(STAY)
            self._keys_changed()
        self._see_other_programs()
        # Times and rates also change when no event arrives.
        if live.version != self._drawn_version or (
            (self.session.busy or self.pane.late) and now - self._drawn_at >= 1
        ):
            self._drawn_version, self._drawn_at = live.version, now
            self.pane.tick(live)

    def _see_other_programs(self) -> None:
        """If another program has changed the run, let the pane read its data again, and look for a job.

        While the app follows a job, the job's events tell the panes what to read. All other changes are read when the
        job has ended.
        """
        now = time.monotonic()
        if self.session.busy or now < self._read_due:
            return
        try:
            version = self._version_now()
            if version != self._version:
                self._version = version
                self.session.look()
                self.pane.shown(self.session.live)
                self._read_due = now + max(READ_EVERY_S, READ_SHARE * (time.monotonic() - now))
        except FaqError as error:
            self.complain(str(error))
        except sqlite3.Error:
            return  # the run's folder may have been removed

    def _version_now(self) -> Hashable:
        """A value that changes when another program changes the database, or adds or deletes an artefact."""
        return version_of(self.opened.store.db, self.opened.models)
