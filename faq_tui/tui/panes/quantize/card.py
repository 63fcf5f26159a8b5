"""The card of an artefact: its size, its place, what serves it, and what a person can do with it."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.widgets import Button

from faq_tui.core.artefacts.card import ArtefactCard
from faq_tui.core.artefacts.deletion import ArtefactDeletion
from faq_tui.core.base.text import duration
from faq_tui.core.run.server_record import SERVING, STARTING, ArtefactServer, read_server
from faq_tui.core.run_summary import size_in_words
from faq_tui.tui.screens.choice import Answer, ChoiceScreen
from faq_tui.tui.widgets.text import LiteralText, plain

COPY, SERVE, STOP_SERVER, TRY = "copy", "serve", "stop-server", "try"
EXPORT, PUSH, DELETE, CLOSE = "export", "push", "delete", "close"
YES, KEEP = "yes", "keep"
LOOK_S = 0.5  # seconds between two looks at the state of the server
LABEL = 10  # width of the labels in cells


class CardScreen(ChoiceScreen):
    """Shows the facts about an artefact. The state of the artefact's server is updated regularly."""

    DEFAULT_CSS = """
    CardScreen > #dialog { width: 96; padding: 0 2; }
    CardScreen .question { margin: 1 0 1 0; }
    """

    def __init__(self, card: ArtefactCard, recipe: str, may_change: bool = True) -> None:
        """`recipe` is the recipe in words. `may_change` is false for a replay, which changes nothing."""
        self._card, self._recipe, self._may_change = card, recipe, may_change
        self.server = read_server(self._jobs, card.artefact.name)
        super().__init__(self._text(), self._choices())
        self.title = card.artefact.name

    def on_mount(self) -> None:
        self.set_interval(LOOK_S, self._look)

    @property
    def _jobs(self) -> Path:
        return self._card.folder.parent.parent / "jobs"

    def _look(self) -> None:
        server = read_server(self._jobs, self._card.artefact.name)
        if server == self.server:
            return
        self.server = server
        self.query_one(".question", LiteralText).show(self._text())
        answers = self._choices()
        if answers != self._answers:
            focused = self.focused.id if isinstance(self.focused, Button) else None
            self._answers = answers
            self.refresh(recompose=True)
            self.call_after_refresh(self._focus_again, focused)

    def _focus_again(self, identity: str | None) -> None:
        found = [button for button in self.query(Button) if button.id == identity]
        (found[0] if found else self.query(Button).first()).focus()

    def _choices(self) -> tuple[Answer, ...]:
        live = self.server is not None and self.server.is_live
        choices = [Answer("y", COPY, "Copy the command" if self._card.command else "Copy the path")]
        if self._may_change:
            if live:
                choices.append(Answer("s", STOP_SERVER, "Stop the server"))
            elif self._card.commands:
                choices.append(Answer("s", SERVE, "Serve it in the background; it keeps running without the app"))
            choices.append(Answer("t", TRY, "Try it beside the unquantized model"))
            choices.append(Answer("e", EXPORT, "Copy the folder to another place"))
            choices.append(Answer("p", PUSH, "Copy the command that uploads it to the hub"))
            choices.append(Answer("d", DELETE, "Delete it from the disk"))
        return (*choices, Answer("escape", CLOSE, "Close"))

    def _text(self) -> Text:
        card, row = self._card, self._card.artefact
        text = Text()

        def add(label: str, words: str, style: str = "") -> None:
            text.append(f"{label:<{LABEL}}", "dim").append_text(plain(words, style)).append("\n")

        add("recipe", f"{self._recipe}; set {row.set_name}")
        shared = f", shared with {row.same_as}" if row.same_as else ""
        add("size", f"{size_in_words(card.size)} on the disk{shared}; {row.bits:.2f} bits per quantized weight")
        add("quality", card.quality)
        add("path", str(card.folder))
        add("serves it", card.servers)
        for doubt in card.doubts:
            add("", doubt, "yellow")
        if card.command:
            add("command", card.command, "bold")
        add("server", *server_in_words(self.server))
        text.rstrip()
        return text


def server_in_words(server: ArtefactServer | None) -> tuple[str, str]:
    """The state of an artefact's server, and its style."""
    if server is None:
        return "not running", "dim"
    if server.state == STARTING:
        return f"starting (process {server.pid}); large models take minutes", "yellow"
    if server.state == SERVING:
        return f"running at {server.url} as {server.model} (process {server.pid})", "green"
    if server.problem:
        return f"not running: {server.problem}", "red"
    return "not running; it was stopped", "dim"


class DeleteArtefactScreen(ChoiceScreen):
    """Asks whether to delete an artefact, and names the consequences.

    The focus is on the answer that keeps the artefact, so that `enter` alone deletes nothing.
    """

    def __init__(self, plan: ArtefactDeletion) -> None:
        answers = Answer("y", YES, "Yes, delete it"), Answer("escape", KEEP, "Keep it")
        super().__init__(plain(deletion_in_words(plan)), answers)

    def on_mount(self) -> None:
        self.query_one(f"#answer-{KEEP}").focus()


def deletion_in_words(plan: ArtefactDeletion) -> str:
    """The question before the deletion of an artefact."""
    lines = [
        f"Delete the folder of {plan.name}?",
        "",
        f"{plan.folder}",
        f"This frees {size_in_words(plan.size)} and cannot be undone.",
    ]
    if plan.sharing:
        lines.append(f"{', '.join(plan.sharing)} {'has' if len(plan.sharing) == 1 else 'have'} the same weights.")
    lines.append(
        "The stages quantize, evaluate and report are then out of date. The next run quantizes it again "
        f"(last time, this took {duration(plan.seconds)})."
    )
    if plan.measurements:
        texts = "one text" if plan.measurements == 1 else f"{plan.measurements} texts"
        lines.append(f"Its results on {texts} stay in Evidence and in the report.")
    return "\n".join(lines)
