"""The app begins where the user left it: theme, pane and layout. A damaged file changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.tui.config import Config
from faq_tui.tui.home.app import HomeApp
from faq_tui.tui.last_view import MOST_RUNS, RunView, last_theme, last_view, remember_view, view_file
from tests.support.app_host import app_on, until


async def test_a_theme_is_remembered_for_a_kind_of_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_on(folder)
    async with app.run_test() as pilot:
        assert app.theme == "textual-dark"
        app.theme = "nord"
        await pilot.pause()
    assert app_on(folder).theme == HomeApp(folder).theme == "nord"
    assert app_on(folder, Config(theme="dracula")).theme == "dracula", "config.toml comes first"
    monkeypatch.delenv("COLORTERM")
    assert app_on(folder).theme == "ansi-dark", "the theme was chosen in a terminal with more colours"


async def test_pane_and_layouts_are_remembered_for_each_run(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("enter")  # a large preview
        await pilot.press("5")
        await pilot.press("v")
        await pilot.pause()
    app = app_on(folder)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: app.pane.SPEC.scope == "quantize")
        assert app.panes["quantize"].arrangement == "curve"
        assert app.panes["seeds"].arrangement == "zoomed" and app.panes["seeds"].has_class("-zoom")
        await pilot.press("v", "v", "1", "enter")
        await pilot.pause()
        assert not app.panes["seeds"].has_class("-zoom")
    assert last_view(folder.resolve()) == RunView("seeds")
    assert last_view(folder.parent) == RunView()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "[" * 100_000, '{"themes": 7, "runs": []}', '{"themes": {"textual-dark": "no such"}, "runs": {}}',
     '{"runs": {"FOLDER": 5}}', '{"runs": {"FOLDER": {"pane": [], "layouts": {"seeds": 4, "quantize": "no such"}}}}',
     '{"runs": {"FOLDER": {"pane": "no such", "layouts": {"no such": "zoomed", "evidence": "no such"}}}}'],
)  # fmt: skip
async def test_a_damaged_file(folder: Path, text: str) -> None:
    view_file().parent.mkdir(parents=True)
    view_file().write_text(text.replace("FOLDER", str(folder.resolve())))
    app = app_on(folder)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.pause()
        assert app.theme == "textual-dark" and app.pane.SPEC.scope == "seeds"
        assert not any(pane.arrangement for pane in app.panes.values())
        await pilot.press("2")
        await pilot.pause()
    assert last_view(folder.resolve()).pane == "regenerate"


def test_the_list_of_runs_stays_short(tmp_path: Path) -> None:
    for number in range(MOST_RUNS + 3):
        remember_view(tmp_path / str(number), RunView("judge"))
    assert last_view(tmp_path / "2") == RunView()
    assert last_view(tmp_path / "3") == last_view(tmp_path / str(MOST_RUNS + 2)) == RunView("judge")
    assert last_theme("textual-dark") is None


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    remember_view(tmp_path, RunView("judge"))
    assert last_view(tmp_path) == RunView()
