"""The app's actions about settings and errors: the settings screen, the editor, the watched file, the errors."""

from __future__ import annotations

import os
from dataclasses import replace

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import sanitize
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Settings
from faq_tui.tui import notices
from faq_tui.tui.pane import Pane
from faq_tui.tui.plan_watch import PlanWatch
from faq_tui.tui.player import Player
from faq_tui.tui.screens.error import ErrorScreen
from faq_tui.tui.session import Session
from faq_tui.tui.settings.editor import edit_file, editor_command
from faq_tui.tui.settings.screen import READ_ONLY, SettingsScreen
from faq_tui.tui.settings.watch import SettingsWatch
from faq_tui.tui.shell import ShellApp


class SettingsActions(ShellApp):
    """Shows and edits the settings of the run. When `faq.toml` changes on disk, the app uses the new settings."""

    opened: Run
    session: Session
    player: Player | None
    plan_watch: PlanWatch
    settings_watch: SettingsWatch
    panes: dict[str, Pane]
    settings_problem = ""  # why faq.toml is invalid now; "" if it is valid

    def show_run(self, run: Run) -> None:
        """Show the run with other settings in the header and the panes."""
        raise NotImplementedError

    # What happens when the file on disk changes. A thread calls `_on_settings` and `_on_refused`.

    def _on_settings(self, settings: Settings) -> None:
        self._from_thread(lambda: self._read_again(settings))

    def _on_refused(self, sentence: str) -> None:
        self._from_thread(lambda: self._refuse(sentence))

    def _from_thread(self, do: object) -> None:
        try:
            self.call_from_thread(do)  # type: ignore[arg-type]
        except RuntimeError:
            return  # the app has ended

    def _read_again(self, settings: Settings) -> None:
        """Use the settings of the changed file. Show a message, except if this app itself has changed the file."""
        known = self.opened.settings == settings or any(pane.run.settings == settings for pane in self.panes.values())
        self.use_settings(settings)
        if not known:
            self.say("faq.toml changed: read again")

    def _refuse(self, sentence: str) -> None:
        self.settings_problem = sentence
        self.show_run(self.opened)
        self.complain(f"{sentence}. The app keeps the last valid settings.")
        self._tell_screen()

    def use_settings(self, settings: Settings) -> None:
        refused, self.settings_problem = self.settings_problem, ""
        if settings != self.opened.settings or refused:
            self.opened = replace(self.opened, settings=settings)
            self.show_run(self.opened)
            self.plan_watch.look()
        self._tell_screen()

    def _tell_screen(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, SettingsScreen):
                screen.run_worker(screen.read_again())

    # The settings screen.

    def action_settings(self) -> None:
        """Show the settings of the run."""
        self.push_screen(SettingsScreen(self.opened.folder, lambda: self.session.busy, self.player is not None))

    def on_settings_screen_saved(self, message: SettingsScreen.Saved) -> None:
        self.use_settings(message.settings)

    def on_settings_screen_editor_wanted(self) -> None:
        self.call_later(self.run_action, "editor", self)

    def action_editor(self) -> None:
        """Open faq.toml in the person's editor, and read it again."""
        if self.player is not None:
            raise UsageError(READ_ONLY)
        code = edit_file(self, editor_command(os.environ), self.opened.folder / "faq.toml")
        self.show_title_again()
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            self.say(f"The editor ended with {how}. faq.toml was read again.", "warning")
        self.settings_watch.look()

    # Errors and notices.

    def action_errors(self) -> None:
        """Show the last errors with their whole text."""
        errors = tuple(self._all_errors())
        if errors:
            self.push_screen(ErrorScreen(errors))
        else:
            self.say("there is no error")

    def _all_errors(self) -> list[str]:
        stage, job = self.session.live.stage, self.session.job
        found = list(dict.fromkeys(self.errors))
        if stage is not None and self.session.outcome == "failed":
            log = f"\nThe job's log is {self.opened.log(job.id)}" if job is not None else ""
            found.insert(0, f"{sanitize(stage.stage)} failed: {stage.message}{log}")
        return found

    def on_error_screen_copy(self, message: ErrorScreen.Copy) -> None:
        self.copy_text(message.text)

    def copy_text(self, text: str) -> None:
        raise NotImplementedError

    def _job_ended(self) -> None:
        """Send a notice that the job has ended, because the person may be looking at another window."""
        if text := notices.end_in_words(self.opened.folder.name, self.session):
            self.show_notice(text)
