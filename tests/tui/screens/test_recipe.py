"""The form for a new recipe: the fields are those of the chosen method's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.widgets import Button, Input, Select

from faq_tui.core.extensions import METHODS
from faq_tui.core.settings import Recipe, build_recipe
from faq_tui.core.settings.edit import add_recipe
from faq_tui.tui.screens.recipe import RecipeScreen
from faq_tui.tui.widgets.form import Several
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import text_of

SETS = ["baseline", "elder"]


class Form:
    """An app whose only screen is the form; `values` is what it was dismissed with."""

    def __init__(self, like: Recipe) -> None:
        self.app: App[None] = App()
        self.screen = RecipeScreen(SETS, like)
        self.values: dict[str, Any] | None = None

    def opened(self) -> None:
        def keep(values: dict[str, Any] | None) -> None:
            self.values = values

        self.app.push_screen(self.screen, keep)


@pytest.mark.parametrize("name", METHODS.builtin)
async def test_every_method_can_be_copied_and_added(name: str) -> None:
    like = build_recipe({"method": name})
    form = Form(like)
    async with form.app.run_test(size=(80, 24)) as pilot:
        form.opened()
        await pilot.pause()
        shown = {str(widget.id) for widget in (*form.screen.query(Select), *form.screen.query(Input))}
        several = {key for key in like.own_keys() if len(like.choices(key)) != 1 and key != "token_weights"}
        assert shown == {"method", "bits", "group_size", *several} | ({"preset"} if like.presets else set())
        await pilot.press("ctrl+s")
        await pilot.pause()
    assert form.values == {key: getattr(like, key) for key in ("method", "bits", "group_size")}
    assert build_recipe(form.values) == like


async def test_a_copy_keeps_the_weights_of_the_tokens(tmp_path: Path) -> None:
    like = build_recipe({"method": "gptq", "sink_share": "auto", "token_weights": {"answer": 2}})
    form = Form(like)
    async with form.app.run_test(size=(80, 24)) as pilot:
        form.opened()
        await pilot.pause()
        await pilot.press("ctrl+s")
        await pilot.pause()
    assert form.values is not None and build_recipe(form.values) == like
    path = tmp_path / "faq.toml"
    path.write_text('[target]\nmodel = "m"\n[seeds]\npath = "s"\n', encoding="utf-8")
    assert add_recipe(path, form.values).recipes[-1] == like


async def test_another_method_brings_its_own_fields_and_keeps_what_it_can() -> None:
    form = Form(build_recipe({"method": "gptq", "bits": 8, "group_size": 64, "desc_act": True}))
    async with form.app.run_test(size=(80, 30)) as pilot:
        form.opened()
        await pilot.pause()
        assert form.screen.query_one("#desc_act", Select).value is True
        form.screen.query_one("#method", Select).value = "spqr"
        for _ in range(100):
            await pilot.pause(0.02)
            if form.screen.query("#scale_group") and form.screen.query("#preset #label"):
                break
        assert not form.screen.query("#desc_act")
        assert form.screen.query_one("#group_size", Select).value == 64
        form.screen.query_one("#preset", Select).value = "reference"
        form.screen.query_one("#outlier_threshold", Input).value = "0.5"
        form.screen.query_one("#scale_bits", Input).value = "many"
        form.screen.query_one("#damp_percent", Input).value = " "
        await pilot.pause()
        assert "valid integer" in " ".join(text_of(form.app).split()), "while it is typed"
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert form.values is None and form.screen.focused is form.screen.query_one("#scale_bits")
        form.screen.query_one("#scale_bits", Input).value = "5"
        await pilot.press("ctrl+s")
        await pilot.pause()
    own = {"preset": "reference", "outlier_threshold": 0.5, "scale_bits": 5}
    assert form.values == {"method": "spqr", "bits": 8, "group_size": 64, **own}


async def test_the_field_under_the_cursor_is_explained() -> None:
    form = Form(build_recipe({"method": "gptaq"}))
    async with form.app.run_test(size=(80, 30)) as pilot:
        form.opened()
        await pilot.pause()
        words = form.screen.query_one(".help", LiteralText)
        assert str(words.render()) == f"GPTAQ. {METHODS.get('gptaq').help}"
        form.screen.query_one("#alpha").focus()
        await pilot.pause()
        assert "share of the input errors" in str(words.render())


async def test_all_of_it_can_be_reached_in_a_small_terminal() -> None:
    form = Form(build_recipe({"method": "gptaq"}))
    async with form.app.run_test(size=(80, 24)) as pilot:
        form.opened()
        await pilot.pause()
        assert form.screen.query_one(Several).value == ("baseline", "elder")
        for _ in range(14):
            await pilot.press("tab")
            focused = form.screen.focused
            if isinstance(focused, Button) and focused.id == "cancel":
                break
        await pilot.pause()
        cancel = form.screen.query_one("#cancel")
        assert form.screen.focused is cancel and form.screen.region.contains_region(cancel.region)


async def test_a_recipe_needs_a_set() -> None:
    form = Form(build_recipe({"method": "w8a8", "sets": ("elder",)}))
    async with form.app.run_test(size=(80, 24)) as pilot:
        form.opened()
        await pilot.pause()
        form.screen.query_one(Several).focus()
        await pilot.press("down", "enter")
        await pilot.pause()
        assert "Choose at least one set." in text_of(form.app)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert form.values is None
        await pilot.press("home", "enter", "ctrl+s")
        await pilot.pause()
    assert form.values is not None and form.values["sets"] == ("baseline",)
