"""The actions of the scope `app`: start and stop jobs, show panes, copy text. The module `app` defines the layout."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.text import sanitize
from faq_tui.core.regenerating import generation_cost
from faq_tui.core.run_plan import RunPlan
from faq_tui.tui import clipboard
from faq_tui.tui.actions import APP, Action
from faq_tui.tui.clipboard import text_of
from faq_tui.tui.compare.screen import CompareScreen
from faq_tui.tui.config import config_path
from faq_tui.tui.header import PaneTab
from faq_tui.tui.home.choose import ChooseRunScreen
from faq_tui.tui.jobs_line import kept_in_words
from faq_tui.tui.pane import Pane, PaneSpec
from faq_tui.tui.screens.help import HelpScreen
from faq_tui.tui.screens.quit import LEAVE, STOP, kill_screen, quit_screen
from faq_tui.tui.screens.run_menu import EVERYTHING, ONLY, UNTIL_JUDGE, RunMenu
from faq_tui.tui.screens.spend import SAMPLE, SPEND, spend_screen
from faq_tui.tui.settings.actions import SettingsActions
from faq_tui.tui.stage_marks import SHOWN_IN


class AppController(SettingsActions):
    """Performs the app's actions. The subclass opens the run, the session and the panes."""

    specs: tuple[PaneSpec, ...]
    plan: RunPlan | None = None  # None until the thread has made the first plan
    actions: tuple[Action, ...]  # all actions of the app and of its panes
    goes_home = False  # True if the user has left this run to see all runs

    @property
    def pane(self) -> Pane:
        """The pane that is shown."""
        raise NotImplementedError

    def show_pane(self, scope: str) -> None:
        raise NotImplementedError

    def perform(self, action: Action) -> None:
        """Run an action. If the action belongs to a pane, show this pane first."""
        if action.scope != APP:
            self.show_pane(action.scope)
        self.call_later(self.run_action, action.command, self if action.scope == APP else self.pane)

    def on_pane_tab_pane_chosen(self, message: PaneTab.PaneChosen) -> None:
        self.show_pane(message.scope)

    def on_pane_start_job(self, message: Pane.StartJob) -> None:
        self._start_job(message.only, message.until)

    def on_pane_stop_job(self) -> None:
        self.action_stop()

    def action_show_pane(self, scope: str) -> None:
        self.show_pane(scope)

    def action_previous_pane(self) -> None:
        self._step(-1)

    def action_next_pane(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        scopes = list(self.panes)
        self.show_pane(scopes[(scopes.index(self.pane.SPEC.scope) + by) % len(scopes)])

    def action_start(self) -> None:
        """Show the plan of the run, and ask which part of it to run."""
        if self._may_start():
            self.plan_watch.look()
            names = SHOWN_IN.get(self.pane.SPEC.scope, ())
            due = [stage.name for stage in self.plan.due if stage.name in names] if self.plan is not None else []
            only = next(iter([*due, *names]), None)
            last = self.session.live.stage
            failed = last is not None and self.session.outcome == "failed"
            failure = f"{last.stage} failed: {last.message}" if last is not None and failed else ""
            self.push_screen(RunMenu(self.plan, only, failure), lambda answer: self._chosen(answer, only))

    def _chosen(self, answer: str | None, only: str | None) -> None:
        if answer == EVERYTHING:
            self._start_job(None, None)
        elif answer == UNTIL_JUDGE:
            self._start_job(None, "judge")
        elif answer == ONLY:
            self._start_job(only, None)

    def _may_start(self) -> bool:
        """True if a job can be started. Otherwise say why not."""
        if self.player is not None:
            self.complain("this is a replay, which cannot start jobs")
            return False
        if self.session.busy:
            self.say("a job is already running; a run can have only one job at a time")
            return False
        if self.settings_problem:
            self.complain(f"{self.settings_problem}: press E to correct the file")
            return False
        return True

    def _start_job(self, only: str | None, until: str | None) -> None:
        if not self._may_start():
            return
        if (
            (only or "regenerate") == "regenerate"
            and until != "seeds"
            and (cost := generation_cost.consent_sentences(self.opened))
        ):
            self.push_screen(spend_screen(cost), lambda answer: self._spend(answer, only, until))
        else:
            self.session.start(only, until)

    def _spend(self, answer: str | None, only: str | None, until: str | None) -> None:
        if answer in (SPEND, SAMPLE) and not self.session.busy:
            self.session.start(only, until, confirmed=answer == SPEND)

    def action_stop(self) -> None:
        if self.session.phase == "stopping":
            self.push_screen(kill_screen(), lambda answer: self.session.kill() if answer == STOP else None)
        elif self.session.phase == "running":
            self.session.stop()
        else:
            self.say("nothing is running")

    def action_copy(self) -> None:
        text = self.screen.get_selected_text() or self.pane.text_to_copy() or text_of(self.focused)
        if not text.strip():
            self.say("there is nothing to copy here")
            return
        self.copy_text(text)

    def copy_text(self, text: str) -> None:
        """Copy the text to the clipboard and to a file."""
        path = clipboard.copy_file()
        try:
            clipboard.save(text, path)
        except OSError as error:
            self.complain(f"{path}: {error.strerror}")
        self.copy_to_clipboard(text)
        self.say(f"copied {len(text):,} characters, also to {path}")

    def action_help(self) -> None:
        scope = self.pane.SPEC.scope
        self.push_screen(HelpScreen(scope, self.actions, self.specs, self.keymap, str(config_path())))

    def action_compare(self) -> None:
        """Ask for another run, and compare this run with it."""

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self.push_screen(CompareScreen(self.opened.folder, folder, self.keymap))

        self.push_screen(ChooseRunScreen(self.opened.folder), chosen)

    def action_home(self) -> None:
        """Leave the run for the list of all runs. A job keeps running."""
        self.goes_home = True
        self.exit()

    async def action_quit(self) -> None:
        if self.session.busy:
            stage = self.session.live.stage
            kept = kept_in_words(stage)
            name = sanitize(stage.stage) if stage else "a job"
            self.push_screen(quit_screen(name, f"{kept[:1].lower()}{kept[1:]}"), self._leave)
        else:
            self.exit()

    def _leave(self, answer: str | None) -> None:
        again = f"`faq-tui {self.opened.folder}`"
        if answer == LEAVE:
            self.farewell = f"the job keeps running; {again} shows it again"
            self.exit()
        elif answer == STOP:
            self.session.stop()
            kept = kept_in_words(self.session.live.stage)
            self.farewell = f"the job will stop; {kept[:1].lower()}{kept[1:]}, and {again} opens the run again"
            self.exit()
