"""A form for one new recipe: what the settings allow is all that can be chosen."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label, OptionList, Select

from faq_tui.core.settings import Recipe


def allowed(key: str) -> list[Any]:
    """The values that the schema gives a choice of."""
    return list(typing.get_args(Recipe.model_fields[key].annotation))


class SetList(OptionList):
    """Enter takes a set in or out; words say which is in, since colours may be missing."""

    def __init__(self, sets: Sequence[str], chosen: Sequence[str]) -> None:
        self._sets, self._in = tuple(sets), set(chosen)
        super().__init__(*map(self._words, self._sets), markup=False, compact=True)

    @property
    def chosen(self) -> tuple[str, ...]:
        """In the order of the settings."""
        return tuple(name for name in self._sets if name in self._in)

    def _words(self, name: str) -> str:
        return f"{'yes' if name in self._in else 'no ':<4}{name}"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        name = self._sets[event.option_index]
        self._in ^= {name}
        self.replace_option_prompt_at_index(event.option_index, self._words(name))


class RecipeScreen(ModalScreen[dict[str, Any] | None]):
    """Dismissed with the recipe's values, or with None."""

    DEFAULT_CSS = (Path(__file__).parent / "recipe.tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("ctrl+s", "add", "Add", priority=True),
    ]

    def __init__(self, sets: Sequence[str], like: Recipe) -> None:
        """Begins with the values of `like`."""
        super().__init__()
        self._sets, self._like = tuple(sets), like

    def compose(self) -> ComposeResult:
        with Vertical(id="recipe"):
            yield Label("New recipe", id="recipe-title")
            with Horizontal(classes="field"):
                yield Label("method")
                yield Select(
                    [(name, name) for name in allowed("method")], value=self._like.method, allow_blank=False,
                    compact=True, id="method",
                )  # fmt: skip
            with Horizontal(classes="field"):
                yield Label("bits")
                yield Select(
                    [(str(bits), bits) for bits in allowed("bits")], value=self._like.bits, allow_blank=False,
                    compact=True, id="bits",
                )  # fmt: skip
            with Horizontal(classes="field"):
                yield Label("group size")
                sizes = [("one group a row" if size == -1 else str(size), size) for size in allowed("group_size")]
                yield Select(sizes, value=self._like.group_size, allow_blank=False, compact=True, id="group_size")
            with Horizontal(classes="field sets"):
                yield Label("sets")
                yield SetList(self._sets, self._like.sets if self._like.sets is not None else self._sets)
            with Horizontal(classes="field"):
                yield Label("order by activation")
                answers = [("no", False), ("yes (desc_act)", True)]
                yield Select(answers, value=self._like.desc_act, allow_blank=False, compact=True, id="desc_act")
            with Horizontal(id="recipe-buttons"):
                yield Button("Add (ctrl+s)", variant="primary", id="add", compact=True)
                yield Button("Cancel (esc)", id="cancel", compact=True)

    @on(Button.Pressed, "#add")
    def action_add(self) -> None:
        sets = self.query_one(SetList).chosen
        if not sets:
            self.notify("Choose at least one set.", severity="warning")
            return
        values: dict[str, Any] = {key: self._value(key) for key in ("method", "bits", "group_size")}
        if sets != self._sets:
            values["sets"] = sets  # all of them is the default, and follows new sources
        if self._value("desc_act"):
            values["desc_act"] = True
        self.dismiss(values)

    def _value(self, key: str) -> Any:
        return self.query_one(f"#{key}", Select).value

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)
