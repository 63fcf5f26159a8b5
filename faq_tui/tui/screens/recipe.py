"""A form for one new recipe. Its fields are the settings of the chosen quantization method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input, Label, OptionList, Select

from faq_tui.core.extensions import METHODS
from faq_tui.core.settings import Recipe
from faq_tui.core.settings.recipe import model_of


class SetList(OptionList):
    """A list of sets.

    Enter includes or excludes a set. A word beside each set shows the choice, for terminals without colours.
    """

    def __init__(self, sets: Sequence[str], chosen: Sequence[str]) -> None:
        self._sets, self._in = tuple(sets), set(chosen)
        super().__init__(*map(self._words, self._sets), markup=False, compact=True)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The included sets, in the order of the settings."""
        return tuple(name for name in self._sets if name in self._in)

    def _words(self, name: str) -> str:
        return f"{'yes' if name in self._in else 'no ':<4}{name}"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        name = self._sets[event.option_index]
        self._in ^= {name}
        self.replace_option_prompt_at_index(event.option_index, self._words(name))


class RecipeScreen(ModalScreen[dict[str, Any] | None]):
    """Returns the values of the recipe, or None if the user cancels. The fields are the settings of the chosen
    method."""

    DEFAULT_CSS = (Path(__file__).parent / "recipe.tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("ctrl+s", "add", "Add", priority=True),
    ]

    def __init__(self, sets: Sequence[str], like: Recipe) -> None:
        """Fill the fields with the values of `like`."""
        super().__init__()
        self._sets, self._like = tuple(sets), like
        self._method = like.method

    def compose(self) -> ComposeResult:
        with Vertical(id="recipe"):
            yield Label("New recipe", id="recipe-title")
            methods = [(name, name) for name in METHODS.names()]
            yield _field("method", _select("method", methods, self._method))
            with Vertical(id="recipe-grid"):
                yield from self._fields(("bits", "group_size"))
            with Horizontal(classes="field sets"):
                yield Label("sets")
                yield SetList(self._sets, self._like.sets if self._like.sets is not None else self._sets)
            with Vertical(id="recipe-own"):
                yield from self._fields(("preset", *model_of(self._method).own_keys()))
            yield Label(about(self._method), id="recipe-help", markup=False)
            with Horizontal(id="recipe-buttons"):
                yield Button("Add (ctrl+s)", variant="primary", id="add", compact=True)
                yield Button("Cancel (esc)", id="cancel", compact=True)

    def _fields(self, keys: Sequence[str]) -> Iterator[Widget]:
        """One line for each setting of the chosen method that allows more than one value."""
        model = model_of(self._method)
        for key in keys:
            default = model.model_fields[key].default
            given = getattr(self._like, key, default)
            choices = choices_of(model, key)
            value = given if not choices or given in (choice for _, choice in choices) else default
            if not choices:
                yield _field(key, Input(str(value), id=key, compact=True))
            elif len(choices) > 1 or key in ("bits", "group_size"):
                yield _field(key, _select(key, choices, value))

    @on(Select.Changed, "#method")
    async def _other_method(self, event: Select.Changed) -> None:
        if event.value == self._method:
            return
        self._method = str(event.value)
        for container, keys in (
            ("#recipe-grid", ("bits", "group_size")),
            ("#recipe-own", ("preset", *model_of(self._method).own_keys())),
        ):
            await self.query_one(container).remove_children()
            await self.query_one(container).mount(*self._fields(keys))
        self._explain("method")

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self._explain(event.widget.id or "")

    def _explain(self, key: str) -> None:
        """Show the help text for the setting in the focused field."""
        model = model_of(self._method)
        text = about(self._method)
        if key != "method" and key in model.model_fields:
            text = model.describe(key)
        self.query_one("#recipe-help", Label).update(text)

    @on(Button.Pressed, "#add")
    def action_add(self) -> None:
        sets = self.query_one(SetList).chosen
        if not sets:
            self.notify("Choose at least one set.", severity="warning")
            return
        model = model_of(self._method)
        values: dict[str, Any] = {"method": self._method}
        for widget in (*self.query("#recipe-grid Select").results(Select), *self._own_widgets()):
            key = str(widget.id)
            value = typed(widget.value.strip()) if isinstance(widget, Input) else widget.value
            usual = value in ("", None) or value == model.model_fields[key].default
            if key in ("bits", "group_size") or not usual:
                values[key] = value
        if sets != self._sets:
            # If all sets are chosen, keep the default, which also includes sources that are added later.
            values["sets"] = sets
        self.dismiss(values)

    def _own_widgets(self) -> Iterator[Select[Any] | Input]:
        for widget in self.query("#recipe-own Select, #recipe-own Input"):
            if isinstance(widget, Select | Input):
                yield widget

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)


def about(method: str) -> str:
    """The title and the help text of the method."""
    extension = METHODS.get(method)
    return f"{extension.title}. {extension.help}"


def choices_of(model: type[Recipe], key: str) -> list[tuple[str, Any]]:
    """(label, value) for each allowed value. The list is empty if the user must type a number or a word."""
    if key == "preset":
        return [("none", None), *((name, name) for name in model.choices(key))] if model.presets else [("none", None)]
    if model.model_fields[key].annotation is bool:
        return [("no", False), ("yes", True)]
    return [(words(key, value), value) for value in model.choices(key)]


def words(key: str, value: Any) -> str:
    """The text that the form shows for a value."""
    if key == "group_size" and value == -1:
        return "one group a row"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def typed(text: str) -> Any:
    """The typed text, converted to a number if possible. The schema checks the value later."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _field(key: str, widget: Widget) -> Horizontal:
    return Horizontal(Label(key.replace("_", " "), markup=False), widget, classes="field")


def _select(key: str, choices: Sequence[tuple[str, Any]], value: Any) -> Select[Any]:
    return Select(choices, value=value, allow_blank=False, compact=True, id=key)
