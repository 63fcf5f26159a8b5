"""A form for one new recipe. Its fields are the settings of the chosen quantization method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from pydantic import ValidationError
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button

from faq_tui.core.extensions import METHODS
from faq_tui.core.settings import Recipe, build_recipe
from faq_tui.core.settings.recipe import model_of
from faq_tui.core.settings.section import Section
from faq_tui.tui.widgets.dialog import Dialog
from faq_tui.tui.widgets.form import Field, FieldRow, Form, Values

ALWAYS = ("method", "bits", "group_size")  # faq.toml gets these keys even if they have their default values


class RecipeScreen(Dialog[Values]):
    """Returns the keys of the recipe for faq.toml, or None if the user cancels."""

    DEFAULT_CSS = """
    RecipeScreen > #dialog { width: 56; }
    RecipeScreen #buttons { height: auto; margin-top: 1; }
    RecipeScreen Button { margin-right: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "add", "Add", priority=True)]

    def __init__(self, sets: Sequence[str], like: Recipe) -> None:
        """Fill the fields with the values of `like`."""
        super().__init__("New recipe")
        self._sets, self._like = tuple(sets), like

    def body(self) -> ComposeResult:
        yield Form(list(self._fields(self._like.method)), self._problems)
        with Horizontal(id="buttons"):
            yield Button("Add (ctrl+s)", variant="primary", id="add", compact=True)
            yield Button("Cancel (esc)", id="cancel", compact=True)

    def _fields(self, method: str) -> Iterator[Field]:
        """Yield a field for each of the method's settings. A setting with only one allowed value gets no field."""
        model = model_of(method)
        methods = tuple((name, name) for name in METHODS.names())
        yield Field("method", self._like.method, "choice", help=about, choices=methods)
        for key in ("bits", "group_size"):
            yield self._field(model, key)
        sets = self._sets if self._like.sets is None else self._like.sets
        yield Field("sets", sets, "several", help=model.describe("sets"), choices=tuple((s, s) for s in self._sets))
        for key in ("preset", *model.own_keys()):
            if isinstance(model.model_fields[key].default, Section):
                continue  # a setting that is a table has no field; `_keys` copies the table from `like`
            field = self._field(model, key)
            if field.kind != "choice" or len(field.choices) > 1:
                yield field

    def _field(self, model: type[Recipe], key: str) -> Field:
        default, annotation = model.model_fields[key].default, model.model_fields[key].annotation
        value, choices = getattr(self._like, key, default), choices_of(model, key)
        if annotation is bool:
            return Field(key, bool(value), "switch", help=model.describe(key))
        if not choices:
            return Field(key, value, "text" if annotation is str else "number", help=model.describe(key))
        value = value if value in (choice for _, choice in choices) else default
        return Field(key, value, "choice", help=model.describe(key), choices=choices)

    @on(FieldRow.Edited)
    async def _other_method(self, event: FieldRow.Edited) -> None:
        if event.key == "method":
            form = self.query_one(Form)
            await form.show_fields(list(self._fields(form.values["method"])))

    def _problems(self, values: Values) -> dict[str, str]:
        problems = {} if values["sets"] else {"sets": "Choose at least one set."}
        try:
            build_recipe(self._keys(values))
        except ValidationError as error:
            for one in error.errors(include_url=False):
                key = str(one["loc"][0]) if one["loc"] else ""
                problems.setdefault(key, str(one["msg"]).removeprefix("Value error, "))
        return problems

    def _keys(self, values: Values) -> dict[str, Any]:
        """The keys for faq.toml. Default values are left out.

        If all sets are chosen, the key `sets` is also left out. A recipe without the key `sets` uses all sets. If a
        person adds a source later, the recipe then uses the new source's sets, too.
        """
        usual = {key: field.default for key, field in model_of(values["method"]).model_fields.items()}
        tables = {key: value.model_dump() for key, value in usual.items() if isinstance(value, Section)}
        usual |= tables
        usual["sets"] = self._sets
        # After a change of the method, the form briefly still has some fields of the previous method. Ignore these
        # fields.
        given = {key: value for key, value in values.items() if value is not None and key in usual}
        given |= {key: getattr(self._like, key).model_dump() for key in tables if hasattr(self._like, key)}
        return {key: value for key, value in given.items() if key in ALWAYS or value != usual[key]}

    @on(Button.Pressed, "#add")
    def action_add(self) -> None:
        self.query_one(Form).submit()

    @on(Form.Submitted)
    def _submitted(self, event: Form.Submitted) -> None:
        self.dismiss(self._keys(event.values))

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.action_cancel()


def about(method: str) -> str:
    """The title and the help text of the method."""
    extension = METHODS.get(method)
    return f"{extension.title}. {extension.help}"


def choices_of(model: type[Recipe], key: str) -> tuple[tuple[str, Any], ...]:
    """The allowed values of a setting, as pairs (label, value); () if the user types the value."""
    if key == "preset":
        return ("none", None), *((name, name) for name in model.choices(key))
    return tuple((words(key, value), value) for value in model.choices(key))


def words(key: str, value: Any) -> str:
    """The text that the form shows for a value."""
    if key == "group_size" and value == -1:
        return "one group a row"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
