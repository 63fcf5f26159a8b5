"""The screen Try it: a prompt, and the answers of the unquantized model and of up to two artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import sanitize
from faq_tui.core.trying.answer import TriedAnswer
from faq_tui.core.trying.departure import compare
from faq_tui.core.trying.models import TriedModel
from faq_tui.core.trying.request import LONGEST_PROMPT, TryRequest
from faq_tui.tui.clipboard import copy_text
from faq_tui.tui.footer import KeyFooter
from faq_tui.tui.try_it.column import AnswerColumn
from faq_tui.tui.try_it.runner import TrySource
from faq_tui.tui.widgets.line_input import LineInput
from faq_tui.tui.widgets.menu import Group, Menu
from faq_tui.tui.widgets.text import LiteralText

DRAW_S = 0.1  # seconds between two updates of the screen
MOST_COLUMNS = 3
LEAST_WIDTH, LEAST_HEIGHT = 38, 9  # smallest size of a column in cells; in a smaller window, one column is shown
FRAME = 4  # rows of the screen that the columns do not use
NONE = ""  # value of a column without a model
TEMPERATURES = {"0": "0, always the likeliest token", "0.3": "0.3", "0.7": "0.7", "1": "1"}
LENGTHS = ("64", "256", "1024", "4096")
SECOND, THIRD, HEAT, LENGTH = "second column", "third column", "temperature", "longest answer in tokens"
WRITING = [("enter", "Ask"), ("escape", "Back")]


class TryScreen(ModalScreen[str]):
    """The screen Try it. When the screen is closed, it returns the last prompt. The answers are not stored."""

    DEFAULT_CSS = (Path(__file__).parent / "try_it.tcss").read_text(encoding="utf-8")
    AUTO_FOCUS = ""  # no widget gets the focus automatically: after a menu, the prompt must not have it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("q", "leave", show=False),
        Binding("enter,i", "edit", "New prompt"),
        Binding("x", "stop", "Stop"),
        Binding("m", "models", "Models"),
        Binding("s", "sampling", "Sampling"),
        Binding("y", "copy", "Copy"),
        *(Binding(str(number), f"show_column({number})", "Column") for number in range(1, MOST_COLUMNS + 1)),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space,ctrl+d", "scroll(0, 1)", show=False),
        Binding("pageup,ctrl+u", "scroll(0, -1)", show=False),
        Binding("home,g", "scroll_to(False)", show=False),
        Binding("end,G", "scroll_to(True)", show=False),
    ]

    def __init__(
        self, source: TrySource, known: Sequence[TriedModel], chosen: Sequence[TriedModel], prompt: str = ""
    ) -> None:
        """`known` lists all models that can be tried.

        `chosen` lists the models in the columns, the unquantized one first.
        """
        super().__init__()
        self._source, self._known = source, list(known)
        self._chosen = list(chosen)[:MOST_COLUMNS]
        self._request = TryRequest(prompt)
        self._answers = [TriedAnswer(model.name) for model in self._chosen]
        self._asked = False  # True if the columns show answers
        self._column = 1  # the column that a small window shows
        self._waits = False  # True if a new prompt waits until the stopped answers have ended

    def compose(self) -> ComposeResult:
        with Vertical(id="try"):
            yield LiteralText(id="try-title")
            yield LineInput(
                self._request.prompt,
                placeholder="Write a question, then press enter",
                max_length=LONGEST_PROMPT,
                compact=True,
                id="try-prompt",
            )
            yield LiteralText(id="try-tabs")
            with Container(id="try-columns"):
                for number in range(1, MOST_COLUMNS + 1):
                    yield AnswerColumn(number)
            yield KeyFooter(id="try-keys")

    def on_mount(self) -> None:
        self._arrange()
        self._draw()
        self._prompt.focus()
        self.set_interval(DRAW_S, self._pump)

    def on_unmount(self) -> None:
        self._source.close()

    # Showing.

    @property
    def _columns(self) -> list[AnswerColumn]:
        return list(self.query(AnswerColumn))

    @property
    def _prompt(self) -> Input:
        return self.query_one("#try-prompt", Input)

    def on_resize(self) -> None:
        self._arrange()
        self.call_after_refresh(self._draw)

    def _arrange(self) -> None:
        """Put the columns side by side, or one below the other. In a small window, show only one column."""
        count, width, height = len(self._chosen), self.app.size.width, self.app.size.height - FRAME
        wide, high = width // count >= LEAST_WIDTH, height // count >= LEAST_HEIGHT
        self._column = min(self._column, count)
        alone = not wide and not high
        box = self.query_one("#try-columns")
        box.styles.layout = "horizontal" if wide else "vertical"
        for column in self._columns:
            column.display = column.number <= count and (not alone or column.number == self._column)
        self.set_class(alone, "-tabs")

    @property
    def _shows_one(self) -> bool:
        return self.has_class("-tabs")

    def _pump(self) -> None:
        messages = self._source.drain()
        for name, message in messages:
            for answer in self._answers:
                if answer.name == name:
                    answer.take(message)
        if self._waits and not self._source.busy:
            self._waits = False
            self._ask()
        elif messages:
            self._draw()

    def _draw(self) -> None:
        self._draw_title()
        self._draw_tabs()
        for column, answer in zip(self._columns, self._answers, strict=False):
            if column.display:
                column.show(answer, self._answers[0])
        self._draw_keys()

    def _draw_title(self) -> None:
        request = self._request
        heat = "always the likeliest token" if not request.temperature else f"temperature {request.temperature:g}"
        ended = sum(answer.ended for answer in self._answers)
        state = f"{ended} of {len(self._answers)} answers done" if self._asked else "no answers yet"
        line = Text.assemble((" Try it ", "bold"), f"  {heat} · at most {request.max_tokens:,} tokens · {state}")
        self.query_one("#try-title", LiteralText).show(line)

    def _draw_tabs(self) -> None:
        line = Text(no_wrap=True, overflow="ellipsis")
        for number, answer in enumerate(self._answers, 1):
            style = "bold reverse" if number == self._column else ""
            line.append(f" {number} {self._tab_of(answer)} ", style).append(" ")
        self.query_one("#try-tabs", LiteralText).show(line)

    def _tab_of(self, answer: TriedAnswer) -> str:
        """The answer's state in a few words, so that the tabs of three models fit into 80 columns."""
        if answer is self._answers[0]:
            return "unquantized"
        found = compare(self._answers[0], answer)
        name = sanitize(answer.name)
        name = name if len(name) <= 18 else f"{name[:8]}…{name[-9:]}"
        return f"{name} ≠{found.equal}" if found.departed else name

    def _draw_keys(self) -> None:
        footer = self.query_one(KeyFooter)
        if self._prompt.has_focus:
            footer.keys, footer.always = [], WRITING
            return
        keys = [("i", "New prompt"), ("m", "Models"), ("s", "Sampling"), ("y", "Copy"), ("down", "Scroll")]
        if self._shows_one:
            keys[:0] = [(str(number + 1), "Model") for number in range(len(self._chosen))]
        footer.keys, footer.always = keys, [*([("x", "Stop")] if self._source.busy else []), ("escape", "Back")]

    def on_descendant_focus(self) -> None:
        self._draw_keys()

    def on_descendant_blur(self) -> None:
        self._draw_keys()

    # Asking.

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._request = replace(self._request, prompt=event.value)
        self._ask()

    def _ask(self) -> None:
        """Ask the chosen models. If a model still answers an earlier prompt, stop all answers first."""
        try:
            self._request.check()
        except UsageError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.set_focus(None)
        if self._source.busy:
            self._source.stop()
            self._waits = True
            return
        self._source.drain()
        self._answers, self._asked = [TriedAnswer(model.name) for model in self._chosen], True
        self._source.ask(self._chosen, self._request)
        self._draw()

    def action_stop(self) -> None:
        self._waits = False
        if self._source.busy:
            self._source.stop()

    def action_edit(self) -> None:
        self._prompt.focus()

    def action_back(self) -> None:
        """Leave the prompt if there are answers; otherwise close the screen."""
        if self._prompt.has_focus and self._asked:
            self.set_focus(None)
        else:
            self.action_leave()

    def action_leave(self) -> None:
        self.dismiss(self._request.prompt)

    def action_models(self) -> None:
        """Choose the artefacts of the second and of the third column."""
        artefacts = {model.name: model.name for model in self._known if model.folder is not None}
        if not artefacts:
            self.notify("There is no artefact on the disk yet.")
            return
        names = [model.name for model in self._chosen] + [NONE] * MOST_COLUMNS
        groups = [Group(SECOND, artefacts, names[1]), Group(THIRD, {**artefacts, NONE: "no third model"}, names[2])]
        self.app.push_screen(Menu("Models", groups), self._choose)

    def _choose(self, choice: tuple[str, str] | None) -> None:
        if choice is None:
            return
        column, name = choice
        names = [model.name for model in self._chosen[1:]] + [NONE] * MOST_COLUMNS
        names[0 if column == SECOND else 1] = name
        if names[0] == names[1]:
            self.notify("This model has a column already.")
            return
        known = {model.name: model for model in self._known}
        self._chosen = [self._chosen[0], *(known[name] for name in names[:2] if name)]
        self._show_new_settings()

    def action_sampling(self) -> None:
        """Choose the temperature and the longest answer."""
        groups = [
            Group(HEAT, TEMPERATURES, f"{self._request.temperature:g}"),
            Group(LENGTH, {length: f"{int(length):,}" for length in LENGTHS}, str(self._request.max_tokens)),
        ]
        self.app.push_screen(Menu("Sampling", groups), self._sample)

    def _sample(self, choice: tuple[str, str] | None) -> None:
        if choice is None:
            return
        group, value = choice
        changes = {"temperature": float(value)} if group == HEAT else {"max_tokens": int(value)}
        self._request = replace(self._request, **changes)
        self._show_new_settings()

    def _show_new_settings(self) -> None:
        """Show the new columns. If a prompt was asked, ask it again."""
        self._arrange()
        if self._asked:
            self._answers = [TriedAnswer(model.name) for model in self._chosen]
            self._ask()
        else:
            self._answers = [TriedAnswer(model.name) for model in self._chosen]
        self._draw()

    # Reading.

    def action_show_column(self, number: int) -> None:
        if number <= len(self._chosen):
            self._column = number
            self._arrange()
            # draw after the refresh, because a column that was hidden has no width before it
            self.call_after_refresh(self._draw)

    def action_scroll(self, lines: int, pages: int = 0) -> None:
        for column in self._columns:
            if column.display:
                column.scroll_text(lines, pages)

    def action_scroll_to(self, end: bool) -> None:
        for column in self._columns:
            if column.display:
                column.scroll_text_to(end)

    def action_copy(self) -> None:
        """Copy all answers with their models' names."""
        parts = [f"{answer.name}\n\n{answer.text or answer.problem}" for answer in self._answers]
        if not self._asked:
            self.notify("There are no answers to copy yet.")
            return
        self.notify(copy_text(self.app, f"{self._request.prompt}\n\n" + "\n\n".join(parts)), markup=False)
