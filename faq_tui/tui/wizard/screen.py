"""The screen of the wizard."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Button, Input

from faq_tui.core.base.errors import ExitCode, FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.setup import Line, StepReport, create_run, sentence
from faq_tui.core.setup.server_step import ServerReport
from faq_tui.tui.widgets.form import FieldRow, Form
from faq_tui.tui.widgets.text import LiteralText
from faq_tui.tui.wizard.steps import Answers, WizardState, all_steps, sample_lines

PAUSE_S = 0.6  # seconds without typing after which an answer is checked
CHECKING = Line("Checking …", "dim")
LATER = 'If the server does not run yet, choose "no model for now", and add the server to faq.toml later.'
MARKS = {"warning": "! ", "bad": "! "}  # without colours, a mark shows the lines that matter
KEYS = "tab next field · ctrl+z undo · ctrl+s {next} · esc {back} · page up/down scroll"


@dataclass(frozen=True)
class NewRun:
    """The run that the wizard has created. If `start` is true, the run's pipeline starts at once."""

    folder: Path
    start: bool


class ReportText(LiteralText):
    """The lines of a report, each in the colour of its role."""

    COMPONENT_CLASSES = {"report--good", "report--warning", "report--bad", "report--dim"}  # noqa: RUF012

    def show_lines(self, lines: Iterable[Line]) -> None:
        text = Text()
        for line in lines:
            style = self.get_component_rich_style(f"report--{line.role}", partial=True) if line.role else ""
            text.append(f"{MARKS.get(line.role, '')}{sanitize(line.text)}\n", style)
        self.show(text)


class WizardScreen(ModalScreen[NewRun | None]):
    """Asks for a new run in five steps. Returns None if the user leaves the wizard."""

    DEFAULT_CSS = (Path(__file__).parent / "wizard.tcss").read_text(encoding="utf-8")
    AUTO_FOCUS = ""  # each step focuses its first text field
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "next", "Next", priority=True),
        Binding("ctrl+o", "create_only", "Create only", priority=True),
        Binding("escape", "back", "Back"),
        Binding("pagedown", "scroll(1)", show=False),
        Binding("pageup", "scroll(-1)", show=False),
    ]

    def __init__(self, here: Path, pause_s: float = PAUSE_S) -> None:
        """Paths in answers may be relative to the folder `here`. Tests make `pause_s` shorter."""
        super().__init__()
        self.state = WizardState(here)
        self.steps, self.index = all_steps(), 0
        self.report: StepReport | None = None  # the report on the present answers; None while they are checked
        self._pause_s, self._timer = pause_s, None
        self._checks = 0  # number of checks that began; only the result of the last one is shown
        # `_go_on`: the user wants to continue, but the check of the answers has not ended. `_start`: start the run
        # after its creation.
        self._go_on, self._start = False, True
        self._touched = False  # True if the user has changed an answer of this step, or tried to go on
        self._initial: Answers = {}
        # New fields report their first values while they are mounted, so only one handler at a time changes fields.
        self._changing = asyncio.Lock()

    _timer: Timer | None

    @dataclass
    class Checked(Message):
        """A thread has checked the answers."""

        number: int
        report: StepReport

    def compose(self) -> ComposeResult:
        with Vertical(id="wizard"):
            yield LiteralText(id="steps")
            yield LiteralText(id="question")
            yield Form([])
            with VerticalScroll(id="found", can_focus=False):
                yield ReportText(id="report")
            with Horizontal(id="buttons"):
                yield Button("Next", id="next", compact=True, variant="primary")
                yield Button("Create, start later (ctrl+o)", id="create", compact=True)
                yield Button("Back (esc)", id="back", compact=True)
            yield LiteralText(id="wizard-keys")

    async def on_mount(self) -> None:
        await self._enter(0)

    @property
    def _is_last(self) -> bool:
        return self.index == len(self.steps) - 1

    async def _enter(self, index: int) -> None:
        """Show a step, with the answers that were given before."""
        self.index, self.report = index, None
        self._go_on, self._touched = False, False
        step = self.steps[index]
        self._initial = dict(self.state.answers)
        form = self.query_one(Form)
        async with self._changing:
            await form.show_fields([])
            await form.show_fields(step.fields(self.state, self._initial))
            self._take_values()
        self._draw_frame()
        # People begin to type when a step opens. A list ignores text, so the first text field gets the focus.
        first = next((row for row in form.rows if isinstance(row.control, Input)), form.rows[0])
        first.control.focus()
        self._check_now()

    def _draw_frame(self) -> None:
        line = Text.assemble(("New run", "bold"), "  ")
        for number, step in enumerate(self.steps):
            style = "bold reverse" if number == self.index else "" if number < self.index else "dim"
            line.append(f" {number + 1} {step.title} ", style).append(" ")
        self.query_one("#steps", LiteralText).show(line)
        self.query_one("#question", LiteralText).show(self.steps[self.index].question)
        following = "create and start" if self._is_last else "next"
        button = self.query_one("#next", Button)
        button.label = f"{following.capitalize()} (ctrl+s)"
        button.refresh(layout=True)
        self.query_one("#create").display = self._is_last
        back = "back" if self.index else "leave"
        self.query_one("#back", Button).label = f"{back.capitalize()} (esc)"
        self.query_one("#wizard-keys", LiteralText).show(KEYS.format(next=following, back=back))

    # Checking.

    def _take_values(self) -> None:
        self.state.answers |= self.query_one(Form).values

    @on(FieldRow.Edited)
    async def _edited(self, event: FieldRow.Edited) -> None:
        async with self._changing:
            before = dict(self.state.answers)
            self._take_values()
            if self.state.answers != before:
                await self._changed(event.key)

    async def _changed(self, key: str) -> None:
        """Show the fields that fit the changed answer, and check the answers soon."""
        self._touched, self._go_on = True, False
        if key in ("origin", "method"):
            await self._show_fields()
        if key in ("url", "key_env"):
            self.state.server = ServerReport()
            self.state.answers["model"] = self._initial["model"] = ""
            if not self._model_is_text():
                await self._show_fields()  # show a text field again, because the models of the new server are unknown
        self._check_soon()

    async def _show_fields(self) -> None:
        """Show the fields that fit the present answers. Fields that stay keep their values and the focus."""
        form = self.query_one(Form)
        await form.show_fields(self.steps[self.index].fields(self.state, self._initial))
        self._take_values()

    def _check_soon(self) -> None:
        self.report = None
        self._checks += 1  # the result of a check of older answers is not shown
        self.query_one(ReportText).show_lines([CHECKING])
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(self._pause_s, self._check_now)

    def _check_now(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._checks += 1
        self.query_one(ReportText).show_lines([CHECKING])
        threading.Thread(
            target=self._check, args=(self._checks, self.index, copy.copy(self.state)), name="check", daemon=True
        ).start()

    def _check(self, number: int, index: int, state: WizardState) -> None:
        """Check the answers in a thread. `state` is a copy that holds the answers on the screen."""
        state.answers = dict(state.answers)
        try:
            report = self.steps[index].look(state)
        except Exception as error:  # noqa: BLE001  a fault in a check must not end the app
            report = StepReport(problem=f"the check failed with {type(error).__name__}: {error}")
        self.post_message(self.Checked(number, report))

    async def on_wizard_screen_checked(self, message: Checked) -> None:
        number, report = message.number, message.report
        if number != self._checks or not self.is_attached:
            return
        step = self.steps[self.index]
        step.keep(self.state, report)
        self.report = report
        if step.has_defaults:
            async with self._changing:
                await self._show_fields()
        names = getattr(report, "models", ())
        if names and self._model_is_text():
            async with self._changing:
                await self._show_fields()  # a list of models replaces the text field for the model's name
            if report.problem:
                self._touched = False
                self._check_now()
                return
        self._draw_report(report)
        if self._go_on:
            await self._advance()

    def _model_is_text(self) -> bool:
        rows = [row for row in self.query_one(Form).rows if row.field.key == "model"]
        return bool(rows) and rows[0].field.kind == "text"

    def _draw_report(self, report: StepReport) -> None:
        lines = [*report.lines, *sample_lines(report)]
        if report.problem and self._touched:  # show no problem before the user has answered
            lines.append(Line(sentence(report.problem), "bad"))
            if report.exit_code == ExitCode.UNREACHABLE:
                lines.append(Line(LATER, "dim"))
        self.query_one(ReportText).show_lines(lines)

    # Actions.

    async def action_next(self) -> None:
        """Go to the next step, or create the run. If the answers are still being checked, wait for the check."""
        self._start = True
        await self._try_to_advance()

    async def action_create_only(self) -> None:
        if self._is_last:
            self._start = False
            await self._try_to_advance()

    async def _try_to_advance(self) -> None:
        self._touched = True
        if self.report is None:
            self._go_on = True
            if self._timer is not None:
                self._check_now()
            return
        await self._advance()

    async def _advance(self) -> None:
        self._go_on = False
        report = self.report
        if report is None or report.problem:
            if report is not None:
                self._draw_report(report)
            self.app.bell()
            return
        if not self._is_last:
            await self._enter(self.index + 1)
            return
        try:
            create_run(self.state.draft(), self.state.plan.folder)
        except FaqError as error:
            self.report = StepReport(problem=str(error))
            self._draw_report(self.report)
            return
        self.dismiss(NewRun(self.state.plan.folder, self._start))

    async def action_back(self) -> None:
        if self.index == 0:
            self.dismiss(None)
        else:
            await self._enter(self.index - 1)

    def action_scroll(self, by: int) -> None:
        self.query_one("#found", VerticalScroll).scroll_relative(y=by * 5, animate=False)

    @on(Button.Pressed, "#next")
    async def _next_pressed(self) -> None:
        await self.action_next()

    @on(Button.Pressed, "#create")
    async def _create_pressed(self) -> None:
        await self.action_create_only()

    @on(Button.Pressed, "#back")
    async def _back_pressed(self) -> None:
        await self.action_back()

    @on(Input.Submitted)
    async def _submitted(self, event: Input.Submitted) -> None:
        """Enter in a text field goes to the next field, or after the last field to the next step."""
        event.stop()
        controls: list[Any] = [row.control for row in self.query_one(Form).rows]
        position = controls.index(event.input)
        if position + 1 < len(controls):
            controls[position + 1].focus()
        else:
            await self.action_next()

    def on_key(self, event: Key) -> None:
        """Handle down and up in a text field, where these keys have no other meaning."""
        if event.key in ("down", "up") and isinstance(self.focused, Input):
            event.stop()
            (self.focus_next if event.key == "down" else self.focus_previous)()
