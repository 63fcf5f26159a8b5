"""A form: labelled fields, a check of their values while the user edits them, and help for the focused field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any, Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, OptionList, Select

from faq_tui.tui.widgets.line_input import LineInput
from faq_tui.tui.widgets.text import LiteralText

NO_YES = (("no", False), ("yes", True))
NOT_EDITED: Any = object()
Values = dict[str, Any]
Check = Callable[[Values], Mapping[str, str]]


@dataclass(frozen=True)
class Field:
    """One value of a form.

    The user types a `text` or a `number`; if nothing is typed, the value is None. The value of a `choice` is one of
    `choices`, which are pairs (label, value). The value of a `switch` is False or True. The value of `several` is a
    tuple of values from `choices`. The `help` of a `choice` may depend on the chosen value.
    """

    key: str  # the key of the value, and the id of the widget
    value: Any  # the initial value
    kind: Literal["text", "number", "choice", "switch", "several"] = "text"
    label: str = ""
    help: str | Callable[[Any], str] = ""
    choices: tuple[tuple[str, Any], ...] = ()
    # The text that an empty `text` or `number` shows. Comparisons of fields ignore it, because it may change while
    # the user types.
    placeholder: str = dataclass_field(default="", compare=False)
    # the changed value if the user changed this field in an earlier form; comparisons of two fields ignore it
    edited: Any = dataclass_field(default=NOT_EDITED, compare=False)


class Several(OptionList):
    """A list of options. Enter includes or excludes an option. Included options are marked "yes", others "no"."""

    class Changed(Message):
        """The user has included or excluded an option."""

    def __init__(self, choices: Sequence[tuple[str, Any]], chosen: Sequence[Any], *, id: str | None = None) -> None:
        self._choices = [(label, value, value in chosen) for label, value in choices]
        super().__init__(*map(self._words, range(len(choices))), markup=False, compact=True, id=id)

    @property
    def value(self) -> tuple[Any, ...]:
        """The values that the user included, in the order of `choices`."""
        return tuple(value for _, value, included in self._choices if included)

    def _words(self, index: int) -> str:
        label, _, included = self._choices[index]
        return f"{'yes' if included else 'no ':<4}{label}"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        label, value, included = self._choices[event.option_index]
        self._choices[event.option_index] = label, value, not included
        self.replace_option_prompt_at_index(event.option_index, self._words(event.option_index))
        self.post_message(self.Changed())


class FieldRow(Vertical):
    """The label and the widget of a field. If the check refuses the value, the reason is shown below the widget."""

    problem: reactive[str] = reactive("", repaint=False, init=False)

    @dataclass
    class Edited(Message):
        """The value of the field `key` has changed."""

        key: str

    def __init__(self, field: Field) -> None:
        super().__init__(classes=f"-{field.kind}")
        self.field = field
        self.control = _control(field)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield LiteralText(self.field.label or self.field.key.replace("_", " "), classes="label")
            yield self.control
        yield LiteralText(classes="problem")

    @property
    def value(self) -> Any:
        if self.field.kind in ("text", "number"):
            text = self.control.value.strip()
            return (typed(text) if self.field.kind == "number" else text) if text else None
        return self.control.value

    @property
    def help(self) -> str:
        return self.field.help if isinstance(self.field.help, str) else self.field.help(self.value)

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Several.Changed)
    def _edited(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Edited(self.field.key))

    def watch_problem(self) -> None:
        self.query_one(".problem", LiteralText).show(self.problem)
        self.set_class(bool(self.problem), "-refused")


class Form(Vertical):
    """The fields, one below the other. A changed value has a bold label.

    `check` gets all values, and returns a dict that maps the key of each refused value to the reason. If a key has no
    field, for example "", the reason is about the whole form. A reason is shown only after the user has changed the
    value or submitted the form.
    """

    DEFAULT_CSS = (Path(__file__).parent / "form.tcss").read_text(encoding="utf-8")

    @dataclass
    class Submitted(Message):
        """The user has submitted values that pass the check."""

        values: Values

    def __init__(self, fields: Sequence[Field], check: Check = lambda _values: {}) -> None:
        super().__init__()
        self._fields, self._check = fields, check
        self._submitted = False  # True after the user has tried to submit the form

    def compose(self) -> ComposeResult:
        with Vertical(classes="rows"):
            yield from map(FieldRow, self._fields)
        yield LiteralText(classes="problem")
        yield LiteralText(classes="help")

    @property
    def rows(self) -> list[FieldRow]:
        return list(self.query(FieldRow))

    @property
    def values(self) -> Values:
        return {row.field.key: row.value for row in self.rows}

    @property
    def dirty(self) -> bool:
        """True if a value differs from its initial value."""
        return any(row.value != row.field.value for row in self.rows)

    async def show_fields(self, fields: Sequence[Field]) -> None:
        """Show these fields. A field that is shown already keeps its typed or chosen value."""
        box, rows = self.query_one(".rows"), self.rows
        kept = {row.field.key: row for row in rows if row.field in fields}
        with self.app.batch_update():  # one layout for all new rows
            await box.remove_children([row for row in rows if row not in kept.values()])
            new: list[FieldRow] = []
            for field in fields:
                row = kept.get(field.key)
                if row is None:
                    new.append(FieldRow(field))
                    continue
                if isinstance(row.control, Input):
                    row.control.placeholder = field.placeholder
                if new:
                    await box.mount(*new, before=row)
                    new = []
            if new:
                await box.mount(*new)
        self._submitted = False
        self._validate()

    def submit(self) -> None:
        """Post Submitted if no value is refused; else go to the first refused value."""
        self._submitted = True
        if not self._validate():
            self.post_message(self.Submitted(self.values))
        elif refused := [row for row in self.rows if row.problem]:
            refused[0].control.focus()

    def _validate(self) -> Mapping[str, str]:
        values = self.values
        problems = self._check(values)
        for row in self.rows:
            changed = row.value != row.field.value
            row.set_class(changed, "-changed")
            row.problem = problems.get(row.field.key, "") if changed or self._submitted else ""
        others = "\n".join(reason for key, reason in problems.items() if key not in values)
        whole = others if self.dirty or self._submitted else ""
        self.query_one("Form > .problem", LiteralText).show(whole)
        self.set_class(bool(whole), "-refused")
        return problems

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self._explain(event.widget)

    def _explain(self, widget: Widget | None) -> None:
        row = next((row for row in widget.ancestors if isinstance(row, FieldRow)), None) if widget else None
        if row is not None:
            self.query_one(".help", LiteralText).show(row.help)

    def on_field_row_edited(self) -> None:
        self._validate()
        self._explain(self.screen.focused)


def typed(text: str) -> Any:
    """Convert the typed text to a number. Text that is no number stays text, and the form's check refuses it."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _control(field: Field) -> Any:
    """The widget whose `value` is the value of the field."""
    value = field.value if field.edited is NOT_EDITED else field.edited
    if field.kind == "several":
        return Several(field.choices, value, id=field.key)
    if field.kind in ("choice", "switch"):
        choices = field.choices if field.kind == "choice" else NO_YES
        return Select(choices, value=value, allow_blank=False, compact=True, id=field.key)
    text = "" if value is None else str(value)
    return LineInput(text, placeholder=field.placeholder, compact=True, id=field.key)
