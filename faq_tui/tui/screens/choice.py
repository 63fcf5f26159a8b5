"""A question with a few answers. Each answer has a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from faq_tui.tui.keys import shown
from faq_tui.tui.widgets.text import LiteralText


@dataclass(frozen=True)
class Answer:
    key: str
    value: str
    text: str


class ChoiceScreen(ModalScreen[str]):
    """Returns the value of the chosen answer. Escape returns the last answer, which changes nothing."""

    CSS_PATH = "choice.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("down,j,right,l,tab", "app.focus_next", show=False),
        Binding("up,k,left,h,shift+tab", "app.focus_previous", show=False),
    ]

    def __init__(self, question: str, answers: tuple[Answer, ...]) -> None:
        super().__init__()
        self._question, self._answers = question, answers

    def compose(self) -> ComposeResult:
        width = max(len(shown(answer.key)) for answer in self._answers)
        with Vertical(id="choice"):
            yield LiteralText(self._question)
            for answer in self._answers:
                label = Text.assemble((f" {shown(answer.key):^{width}} ", "reverse"), f"  {answer.text}")
                yield Button(label, id=f"answer-{answer.value}", compact=True)
            yield Static("enter chooses, esc goes back", id="hint", markup=False)

    def on_key(self, event: Key) -> None:
        for answer in self._answers:
            if event.key == answer.key:
                event.stop()
                self.dismiss(answer.value)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss((event.button.id or "").removeprefix("answer-"))

    def action_back(self) -> None:
        self.dismiss(self._answers[-1].value)
