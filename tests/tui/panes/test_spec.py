"""Each pane is declared once, by its PaneSpec, and all that lists the panes follows from it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import BindingType

from faq_tui.tui.actions import Action, bindings_of
from faq_tui.tui.app import FaqApp
from faq_tui.tui.palette import ActionCommands
from faq_tui.tui.pane import Pane, PaneSpec
from faq_tui.tui.panes import PANES
from faq_tui.tui.screens.help import HelpScreen
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import NOW, still, text_of

MADE_UP = PaneSpec(
    scope="weather",
    title="Weather",
    digit=7,
    help="Show the weather of the made-up pane.",
    path="tests.tui.panes.test_spec:WeatherPane",
    actions=(Action("weather.rain", "w", "Rain", "Let it rain in the made-up pane."),),
)


class WeatherPane(Pane):
    SPEC = MADE_UP
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(MADE_UP.actions)]

    def compose(self) -> ComposeResult:
        yield LiteralText("the sun shines", id="weather-text")

    def action_rain(self) -> None:
        self.query_one("#weather-text", LiteralText).show("it rains")


@pytest.mark.parametrize("spec", PANES, ids=lambda spec: spec.scope)
def test_a_spec_declares_its_pane(spec: PaneSpec) -> None:
    pane = spec.load()
    assert issubclass(pane, Pane) and pane.SPEC is spec
    assert re.fullmatch(r"[A-Z][a-z]+", spec.title)
    assert re.fullmatch(r"[A-Z][^\n]*[^.]\.", spec.help), "one sentence"
    assert spec.actions and {action.scope for action in spec.actions} == {spec.scope}
    assert set(bindings_of(spec.actions)) <= set(pane.BINDINGS)
    folder = Path(importlib.import_module(pane.__module__).__file__ or "").parent
    assert folder.name == spec.scope
    assert (folder / f"{spec.scope}.tcss").read_text(encoding="utf-8") == pane.DEFAULT_CSS


def test_panes_are_numbered_without_gaps() -> None:
    assert [spec.digit for spec in PANES] == list(range(1, len(PANES) + 1))
    assert len({spec.scope for spec in PANES}) == len({spec.title for spec in PANES}) == len(PANES)


def test_every_folder_of_panes_is_listed() -> None:
    root = Path(importlib.import_module("faq_tui.tui.panes").__file__ or "").parent
    assert {path.parent.name for path in root.glob("*/__init__.py")} == {spec.scope for spec in PANES}


async def test_a_new_spec_is_a_tab_a_key_a_help_section_and_palette_entries(folder: Path) -> None:
    app = FaqApp(folder, clock=lambda: NOW, sampler=still(), panes=(*PANES, MADE_UP))
    async with app.run_test(size=(120, 400)) as pilot:
        assert "7 Weather" in text_of(app).splitlines()[1]
        await pilot.press("7")
        assert app.pane.SPEC is MADE_UP and "the sun shines" in text_of(app)
        assert "w Rain" in text_of(app).splitlines()[-1]
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        shown = re.sub(r"[\s│]+", " ", text_of(app))
        assert f"Weather w Rain {MADE_UP.actions[0].help}" in shown and MADE_UP.help in shown
        await pilot.press("escape")
        await pilot.press("1")
        await pilot.press("ctrl+p")
        commands = {hit.text: hit async for hit in ActionCommands(app.screen).discover()}
        assert {"Weather", "Weather: Rain"} <= commands.keys()
        assert "Key: 7" in str(commands["Weather"].help)
        await pilot.press("escape")
        commands["Weather: Rain"].command()
        await pilot.pause()
        assert app.pane.SPEC is MADE_UP and "it rains" in text_of(app)
