"""One registry: every action exists, is tested, and is found in help, palette and footer. And the wall to torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from textual.command import CommandPalette

from faq_tui.tui.actions import APP, Action
from faq_tui.tui.app import FaqApp
from faq_tui.tui.keys import keys_of, shown, written
from faq_tui.tui.palette import ActionCommands
from faq_tui.tui.panes import PANES
from faq_tui.tui.registry import APP_ACTIONS, registry, show_actions
from faq_tui.tui.screens.help import HelpScreen
from tests.support.app_host import app_on, text_of

HERE = Path(__file__).parent
SCOPES = {APP: FaqApp, **{spec.scope: spec.load() for spec in PANES}}


def test_ids_are_unique_and_every_pane_has_actions() -> None:
    ids = [action.id for action in registry()]
    assert len(ids) == len(set(ids))
    assert {action.scope for action in registry()} == set(SCOPES)


@pytest.mark.parametrize("action", registry(), ids=lambda action: action.id)
def test_an_action_has_its_method_and_a_test(action: Action) -> None:
    assert callable(getattr(SCOPES[action.scope], f"action_{action.command.partition('(')[0]}", None)), "no method"
    folder = HERE if action.scope == APP else HERE / "panes" / action.scope
    tests = "\n".join(path.read_text() for path in folder.glob("test_*.py"))
    found = re.search(rf"\b{re.escape(action.id)}\b|def test_\w*{action.name}(_|\()", tests)
    assert found, f"no test in {folder.relative_to(HERE)} names {action.id}"


@pytest.mark.parametrize("action", registry(), ids=lambda action: action.id)
def test_an_action_is_said_well(action: Action) -> None:
    assert action.help.endswith(".") and action.help[0].isupper() and "\n" not in action.help
    assert 0 < len(action.label) <= 24
    for key in keys_of(action, {}):
        assert written(shown(key)) == key, "the config file must be able to name it"


def test_no_key_has_two_meanings_in_one_scope() -> None:
    taken: dict[tuple[str, str], str] = {}
    for action in registry():
        for key in keys_of(action, {}):
            assert taken.setdefault((action.scope, key), action.id) == action.id


def test_panes_leave_the_keys_of_the_app_alone() -> None:
    """But for the digits, which pick in Judge."""
    ours = {key for action in (*show_actions(), *APP_ACTIONS) for key in keys_of(action, {})}
    for action in registry():
        if action.scope != APP:
            both = set(keys_of(action, {})) & ours
            assert not both or (action.scope == "judge" and both <= set("123456")), f"{action.id} takes {both}"


async def test_help_and_palette_hold_every_action(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(120, 400)) as pilot:
        await pilot.press("question_mark")
        screen = app.screen
        assert isinstance(screen, HelpScreen)
        shown_help = re.sub(r"[\s│]+", " ", text_of(app))
        missing = [a.id for a in registry() if a.label not in shown_help or a.help.split(".")[0] not in shown_help]
        assert missing == []
        await pilot.press("escape")
        await pilot.press("ctrl+p")
        assert isinstance(app.screen, CommandPalette)
        hits = [hit async for hit in ActionCommands(app.screen).discover()]
        assert len(hits) == len(registry()) - 1, "all but the palette itself"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 60)])
async def test_the_footer_is_never_cut(folder: Path, width: int, height: int) -> None:
    app = app_on(folder)
    async with app.run_test(size=(width, height)) as pilot:
        for key in ("1", "2", "4", "5", "6", "3"):
            await pilot.press(key)
            footer = text_of(app).splitlines()[-1]
            wide = [a for a in registry() if a.scope == app.pane.SPEC.scope and a.footer]
            whole = all(f" {a.label}" in footer for a in wide if app._is_possible(a))
            assert ("? Help" if whole else "? more") in footer and "q Quit" in footer and "…" not in footer, footer
            assert not wide or wide[0].label in footer
            assert key != "3" or "1 2 3 Pick  enter Accept  0 Reject  u Undo" in footer, footer
            assert key != "3" or width == 80 or "n Next  f Filter  b Blind  d Differences" in footer, footer
            tabs = text_of(app).splitlines()[1]
            names = ("Seeds", "Regenerate", "Judge", "Spikes", "Quantize", "Evidence", "[ ]")
            assert all(name in tabs for name in names), tabs
            assert "GPU" in tabs or "H100" in tabs, tabs


def test_the_app_never_loads_torch() -> None:
    code = (
        "import sys; import faq_tui.tui.launch, faq_tui.tui.player, faq_tui.cli.screen;"
        "heavy = {'torch', 'transformers', 'gptqmodel', 'datasets', 'openai', 'aiohttp'} & set(sys.modules);"
        "sys.exit(str(heavy or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == ""


def test_core_and_cli_do_not_load_textual() -> None:
    code = (
        "import sys, faq_tui.cli.main; [faq_tui.cli.main.faq_tui.get_command(None, n) for n in"
        " (*faq_tui.cli.main.COMMANDS, '')]; import faq_tui.core.jobs;"
        "sys.exit('textual' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
