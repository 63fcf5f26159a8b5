"""What the keys of the Quantize pane do with a finished artefact: its card, try it, serve, copy and delete it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from faq_tui.core.artefact_queue import Queued
from faq_tui.core.artefacts.card import ArtefactCard, card_of
from faq_tui.core.artefacts.copying import copy_artefact
from faq_tui.core.artefacts.deletion import delete_artefact, plan_artefact_deletion
from faq_tui.core.artefacts.server_control import start_server, stop_server
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.run.run import Run
from faq_tui.core.run.server_record import ArtefactServer
from faq_tui.core.run_summary import size_in_words
from faq_tui.core.trying.models import MOST_MODELS, TriedModel, models_of
from faq_tui.tui.clipboard import copy_text
from faq_tui.tui.live import LiveState
from faq_tui.tui.pane import Pane
from faq_tui.tui.panes.quantize import card as cards
from faq_tui.tui.panes.quantize.queue import describe
from faq_tui.tui.try_it.runner import TryRunner, TrySource
from faq_tui.tui.try_it.screen import MOST_COLUMNS, TryScreen
from faq_tui.tui.widgets.ask import Ask


class ArtefactActions(Pane):
    """The part of the Quantize pane that acts on one artefact."""

    live: LiveState
    make_source: Callable[[Run], TrySource] = TryRunner  # tests replace it
    _last_prompt = ""

    @property
    def current(self) -> Queued | None:
        """The selected artefact."""
        raise NotImplementedError

    def read_again(self) -> None:
        """Read the queue again and draw it."""
        raise NotImplementedError

    def action_card(self) -> None:
        """Show the card of the selected artefact."""
        current = self.current
        if current is not None and current.name in {made.name for made in self.live.running_artefacts()}:
            self.notify("This artefact is being made now. Its card can be opened when it is finished.")
            return
        if current is None or current.artefact is None or not is_whole(self.run.models / current.artefact.folder):
            when = self.live.when("quantize")
            self.notify(
                f"There is no artefact on the disk here. The stage quantize makes it{f'; {when}' if when else ''}."
            )
            return
        card = card_of(self.run, current.artefact)
        screen = cards.CardScreen(card, describe(current.recipe), may_change=not self.run.store.read_only)
        self.app.push_screen(screen, lambda answer: self._do(answer, card, screen.server))

    def _do(self, answer: str | None, card: ArtefactCard, server: ArtefactServer | None) -> None:
        actions: dict[str, Callable[[], None]] = {
            cards.COPY: lambda: self.notify(copy_text(self.app, card.command or str(card.folder)), markup=False),
            cards.SERVE: lambda: self._serve(card),
            cards.STOP_SERVER: lambda: self._stop_server(server),
            cards.TRY: self.action_try_it,
            cards.EXPORT: lambda: self._ask_place(card),
            cards.PUSH: lambda: self.notify(copy_text(self.app, card.push_command), markup=False),
            cards.DELETE: lambda: self._ask_deletion(card),
        }
        if answer in actions:
            self._guarded(actions[answer])

    def _guarded(self, do: Callable[[], None]) -> None:
        """Run `do`, and show its FaqError.

        Without this method, the app would show errors of actions, but not of answers to dialogs.
        """
        try:
            do()
        except FaqError as error:
            self.post_message(self.Exported(str(error), failed=True))

    # Trying.

    def action_try_it(self) -> None:
        """Let three models answer a prompt: the unquantized model, the selected artefact and another artefact."""
        if self.run.store.read_only:
            raise UsageError("this is a replay, which cannot load models")
        known = models_of(self.run)[:MOST_MODELS]
        screen = TryScreen(self.make_source(self.run), known, self._models_to_try(known), self._last_prompt)
        self.app.push_screen(screen, self._tried)

    def _tried(self, prompt: str | None) -> None:
        self._last_prompt = prompt or self._last_prompt

    def _models_to_try(self, known: list[TriedModel]) -> list[TriedModel]:
        """The unquantized model first, then the selected artefact, then the others."""
        name = self.current.name if self.current is not None else ""
        return sorted(known, key=lambda model: (model.folder is not None, model.name != name))[:MOST_COLUMNS]

    # Serving.

    def _serve(self, card: ArtefactCard) -> None:
        self.notify(f"Starting a server for {card.artefact.name}.", markup=False)
        run = self.run
        self._in_thread("serve", lambda: self._started(start_server(run, card.artefact), run))

    def _started(self, server: ArtefactServer, run: Run) -> str:
        log = run.jobs / f"serve-{server.name}" / "log.txt"
        begun = f"is served at {server.url}" if server.url else "is not served yet: its server is starting"
        return (
            f"{server.name} {begun}. Process {server.pid} keeps running without the app. "
            f"Enter shows the server's state and address, and stops it. Its log is {log}"
        )

    def _stop_server(self, server: ArtefactServer | None) -> None:
        if server is not None and stop_server(server):
            self.notify(f"The server of {server.name} is stopping.", markup=False)
        else:
            self.notify("The server has already ended.")

    # Copying.

    def _ask_place(self, card: ArtefactCard) -> None:
        prompt = f"Copy {card.artefact.name} ({size_in_words(card.size)}) to this folder"
        self.app.push_screen(Ask(prompt, str(Path.home())), lambda place: self._copy(card, place))

    def _copy(self, card: ArtefactCard, place: str | None) -> None:
        if place:
            self.notify(f"Copying {size_in_words(card.size)} to {place}", markup=False)
            self._in_thread("export", lambda: f"copied to {copy_artefact(card, Path(place))}")

    # Deleting.

    def _ask_deletion(self, card: ArtefactCard) -> None:
        plan = plan_artefact_deletion(self.run, card.artefact)
        self.app.push_screen(cards.DeleteArtefactScreen(plan), lambda answer: self._delete(answer, card))

    def _delete(self, answer: str | None, card: ArtefactCard) -> None:
        if answer != cards.YES:
            return

        def delete() -> None:
            delete_artefact(self.run, card.artefact)
            self.notify(f"Deleted {card.artefact.name}; {size_in_words(card.size)} are free.", markup=False)

        self._guarded(delete)
        self.read_again()

    def _in_thread(self, name: str, work: Callable[[], str]) -> None:
        """Do slow work in a thread.

        Afterwards, show the sentence that `work` returns, or the error that it raises.
        """

        def run() -> None:
            try:
                message, failed = work(), False
            except FaqError as error:
                message, failed = str(error), True
            except OSError as error:
                message, failed = f"{error.filename or name}: {error.strerror}", True
            self.post_message(self.Exported(message, failed))

        threading.Thread(target=run, name=name, daemon=True).start()
