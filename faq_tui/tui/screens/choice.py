"""A question with a few answers. Each answer has a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.widgets import Button

from faq_tui.tui.keys import shown
from faq_tui.tui.widgets.dialog import Dialog
from faq_tui.tui.widgets.text import LiteralText


@dataclass(frozen=True)
class Answer:
    key: str
    value: str
    text: str


class ChoiceScreen(Dialog[str]):
    """Returns the value of the chosen answer.

    Escape returns the last answer, so the last answer must change nothing.
    """

    DEFAULT_CSS = """
    ChoiceScreen > #dialog { padding: 1 2; }
    ChoiceScreen .question { width: 1fr; margin-bottom: 1; }
    ChoiceScreen .hint { width: 1fr; margin-top: 1; }
    ChoiceScreen #dialog Button { width: 1fr; content-align: left middle; text-align: left; background: $surface; }
    ChoiceScreen #dialog Button:focus { text-style: bold; background: $primary; color: $block-cursor-foreground; }
    """
    CLOSED_BY_CLICK = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j,right,l,tab", "app.focus_next", show=False),
        Binding("up,k,left,h,shift+tab", "app.focus_previous", show=False),
    ]

    def __init__(self, question: str | Text, answers: tuple[Answer, ...]) -> None:
        super().__init__()
        self._question, self._answers = question, answers
        self.cancelled = answers[-1].value

    def body(self) -> ComposeResult:
        width = max(len(shown(answer.key)) for answer in self._answers)
        yield LiteralText(self._question, classes="question")
        for answer in self._answers:
            label = Text.assemble((f" {shown(answer.key):^{width}} ", "reverse"), f"  {answer.text}")
            yield Button(label, id=f"answer-{answer.value}", compact=True)
        yield LiteralText("press enter to choose, esc to go back", classes="hint")

    def on_key(self, event: Key) -> None:
        for answer in self._answers:
            if event.key == answer.key:
                event.stop()
                self.dismiss(answer.value)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss((event.button.id or "").removeprefix("answer-"))
