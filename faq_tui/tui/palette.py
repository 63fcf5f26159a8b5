"""The command palette: it finds every action by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from faq_tui.tui.actions import Action
from faq_tui.tui.controller import AppController
from faq_tui.tui.keys import keys_of, shown

HERE = ("app.command_palette",)  # the palette omits the action that opens the palette


class ActionCommands(Provider):
    """The commands of the palette. If an action belongs to a pane, the command shows this pane first."""

    @property
    def _app(self) -> AppController:
        return cast("AppController", self.app)

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        """Yield (name, help text, function to call) for each command."""
        titles = {pane.scope: f"{pane.title}: " for pane in self._app.specs}
        for action in self._app.actions:
            if action.id not in HERE:
                where = titles.get(action.scope, "")
                yield f"{where}{action.label}", self._help(action), partial(self._app.perform, action)

    def _help(self, action: Action) -> str:
        keys = [shown(key) for key in keys_of(action, self._app.keymap)]
        return f"{action.help}  Key: {keys[0]}" if keys else action.help

    async def discover(self) -> Hits:
        for name, text, command in self._commands():
            yield DiscoveryHit(Content(name), command, text=name, help=text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, text, command in self._commands():
            score = max(matcher.match(name), matcher.match(text) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(name), command, help=text)
