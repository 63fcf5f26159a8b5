"""A form says which values are refused while they are edited, and gives only values that pass its check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import App, ComposeResult
from textual.widgets import Input, Select

from faq_tui.tui.widgets.form import Field, FieldRow, Form, Several, Values
from tests.support.app_host import text_of

NAME = Field("name", "ada", label="your [b]name[/b]", help="who decides")
SHARE = Field("share", 0.5, "number", help="of the samples")
SIZE = Field("size", 2, "choice", choices=(("one", 1), ("two", 2)), help=lambda value: f"size is {value}")
FAST = Field("fast", False, "switch")
SETS = Field("sets", ("b",), "several", choices=(("first", "a"), ("second", "b")))
FIELDS = (NAME, SHARE, SIZE, FAST, SETS)


def check(values: Values) -> dict[str, str]:
    problems = {}
    if not isinstance(values["share"], float | int) or not 0 <= values["share"] <= 1:
        problems["share"] = "must be between 0 and 1"
    if values.get("fast") and values["name"] is None:
        problems[""] = "fast needs a name"
    if values["share"] == 0.75:
        problems["hidden"] = "nobody may have 0.75"
    return problems


class Host(App[None]):
    def __init__(self, fields: Sequence[Field] = FIELDS) -> None:
        super().__init__()
        self.form, self.submitted = Form(fields, check), []  # type: ignore[var-annotated]

    def compose(self) -> ComposeResult:
        yield self.form

    def on_form_submitted(self, event: Form.Submitted) -> None:
        self.submitted.append(event.values)

    def row(self, key: str) -> FieldRow:
        return next(row for row in self.form.rows if row.field.key == key)


async def test_the_values_are_those_of_the_fields_until_they_are_edited() -> None:
    app = Host()
    async with app.run_test(size=(60, 20)) as pilot:
        first: dict[str, Any] = {"name": "ada", "share": 0.5, "size": 2, "fast": False, "sets": ("b",)}
        assert app.form.values == first and not app.form.dirty
        assert "your [b]name[/b]" in text_of(app), "a label is no markup"
        app.query_one("#name", Input).value = "  "
        app.query_one("#share", Input).value = "1"
        app.query_one("#size", Select).value = 1
        app.query_one(Several).focus()
        await pilot.press("home", "enter")
        await pilot.pause()
        assert app.form.values == {"name": None, "share": 1, "size": 1, "fast": False, "sets": ("a", "b")}
        assert app.form.dirty and app.row("size").has_class("-changed") and not app.row("fast").has_class("-changed")
        app.form.submit()
        await pilot.pause()
        assert app.submitted == [app.form.values]


async def test_a_refused_value_says_why_at_once_and_is_not_submitted() -> None:
    app = Host()
    async with app.run_test(size=(60, 20)) as pilot:
        app.query_one("#share", Input).value = "many"
        await pilot.pause()
        assert "must be between 0 and 1" in text_of(app)
        app.form.submit()
        await pilot.pause()
        assert not app.submitted and app.focused is app.query_one("#share")
        app.query_one("#share", Input).value = "0.25"
        await pilot.pause()
        assert "must be between" not in text_of(app)
        app.query_one("#fast", Select).value = True
        app.query_one("#name", Input).value = ""
        await pilot.pause()
        assert "fast needs a name" in text_of(app), "a reason that belongs to no field"
        app.query_one("#share", Input).value = "0.75"
        await pilot.pause()
        assert "nobody may have 0.75" in text_of(app)
        app.form.submit()
        await pilot.pause()
        assert not app.submitted


async def test_a_reason_waits_until_the_value_is_edited_or_submitted() -> None:
    app = Host((NAME, Field("share", None, "number")))
    async with app.run_test(size=(60, 20)) as pilot:
        app.query_one("#name", Input).value = "eve"
        await pilot.pause()
        assert "must be between" not in text_of(app)
        app.form.submit()
        await pilot.pause()
        assert "must be between" in text_of(app) and not app.submitted


async def test_help_is_about_the_focused_field_and_its_value() -> None:
    app = Host()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert "who decides" in text_of(app)
        app.query_one("#size").focus()
        await pilot.pause()
        assert "size is 2" in text_of(app)
        app.query_one("#size", Select).value = 1
        await pilot.pause()
        assert "size is 1" in text_of(app)


async def test_other_fields_keep_what_is_typed_in_those_that_stay() -> None:
    app = Host((NAME, SHARE, SETS))
    async with app.run_test(size=(60, 20)) as pilot:
        app.query_one("#name", Input).value = "eve"
        await app.form.show_fields((FAST, NAME, SIZE, Field("share", 0.1, "number")))
        await pilot.pause()
        assert list(app.form.values.items()) == [("fast", False), ("name", "eve"), ("size", 2), ("share", 0.1)]
