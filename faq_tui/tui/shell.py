"""The base of the app's two programs: the list of runs (`home`) and the panes of one run (`app`)."""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from textual.app import App
from textual.filter import LineFilter
from textual.notifications import SeverityLevel

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.tui import clipboard, notices
from faq_tui.tui.config import Config
from faq_tui.tui.last_view import last_theme, remember_theme
from faq_tui.tui.themes import ReadableText, named_colours, suited_theme

READABLE = ReadableText()

KEPT_ERRORS = 10


class ShellApp(App[None]):
    """Applies the user's settings, and shows messages and errors."""

    farewell = ""  # the text that is printed after the app has left the screen

    def __init__(self, config: Config | None) -> None:
        # The environment variable NO_COLOR asks programs not to use colours. Textual then removes ANSI colours and
        # turns all other colours into greys.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.config = config or Config()
        self._suited = suited_theme(os.environ)
        self.theme = self._first_theme = self.config.theme or last_theme(self._suited) or self._suited
        if self.config.low_bandwidth:
            self.animation_level = "none"
        self.set_keymap(self.config.keymap)
        self.crash: Exception | None = None
        self.errors: deque[str] = deque(maxlen=KEPT_ERRORS)  # the newest first
        self._title_shown, self._title_given_back = "", False

    def on_mount(self) -> None:  # if a subclass also has an `on_mount`, Textual calls both
        self._send(notices.keep_title(), self.config.title)
        self.show_title(notices.NAME)
        self.theme_changed_signal.subscribe(self, lambda _theme: self._use_theme())
        self._use_theme()

    def on_unmount(self) -> None:
        if self.theme != self._first_theme:
            remember_theme(self._suited, self.theme)
        self._give_back_title()

    def exit(self, *arguments: Any, **named: Any) -> None:
        # The title must be given back while the app still has the screen. After a crash, `on_unmount` gives it back.
        self._give_back_title()
        super().exit(*arguments, **named)

    def _give_back_title(self) -> None:
        if not self._title_given_back:
            self._title_given_back = True
            self._send(notices.give_back_title(), self.config.title)

    def show_title(self, text: str) -> None:
        """Show the text in the title of the terminal, if the user's settings allow it."""
        if text != self._title_shown and not self._title_given_back:
            self._title_shown = text
            self._send(notices.show_title(text), self.config.title)

    def show_title_again(self) -> None:
        """Show the title again, after another program has used the terminal."""
        text, self._title_shown = self._title_shown, ""
        self.show_title(text)

    def show_notice(self, text: str) -> None:
        """Ring the bell and send a notice to the desktop, if the user's settings allow it."""
        self._send(notices.notify(text, os.environ), self.config.notices)

    def _send(self, sequence: str, allowed: bool) -> None:
        if allowed and self._driver is not None and notices.understands(os.environ):
            self._driver.write(sequence)

    def _use_theme(self) -> None:
        """Draw named colours, such as red and green, in the colours of the theme."""
        self.ansi_theme_dark = self.ansi_theme_light = named_colours(self.theme_variables)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, followed by our filter that makes hard-to-read colours readable."""
        return [*super().get_line_filters(), READABLE]

    @property
    def keymap(self) -> dict[str, str]:
        return self.config.keymap

    async def run_action(self, *arguments: Any, **named: Any) -> bool:
        """Run an action. If the action fails, show the reason in a notification."""
        try:
            return await super().run_action(*arguments, **named)
        except FaqError as error:
            self.complain(str(error))
        except sqlite3.OperationalError as error:
            self.complain(f"the database did not answer ({error}); try again")
        return False

    def complain(self, sentence: str) -> None:
        self.say(sentence, "error")

    def notify(self, message: str, *, severity: SeverityLevel = "information", **others: Any) -> None:
        """Show a message. `errors` keeps the whole text of an error, because the screen may cut it."""
        if severity == "error":
            self.errors.appendleft(message)
        super().notify(message, severity=severity, **others)

    def say(self, sentence: str, severity: SeverityLevel = "information", timeout: float | None = None) -> None:
        """Show a message for `timeout` seconds, or for Textual's usual time."""
        self.notify(sanitize(sentence), severity=severity, timeout=timeout, markup=False)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy text with an escape sequence, as Textual does.

        Unlike Textual's sequence, this one also works inside tmux.
        """
        self._clipboard = text
        if self._driver is not None:
            self._driver.write(clipboard.osc52(text, os.environ))

    def action_theme(self) -> None:
        self.search_themes()

    def _handle_exception(self, error: Exception) -> None:
        self.crash = error
        super()._handle_exception(error)

    def panic(self, *renderables: RenderableType) -> None:
        # The thread that reads the keys calls only this method, and not `_handle_exception`.
        self.crash = self.crash or RuntimeError("the thread that reads the keys has failed")
        super().panic(*renderables)
