"""Every text on the screen can be read in each of Textual's themes: a contrast of 4.5 or more (WCAG 2, level AA)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from faq_tui.tui.home.app import HomeApp
from faq_tui.tui.shell import ShellApp
from faq_tui.tui.themes import contrast
from tests.support.app_host import app_on, until
from tests.support.evidence_run import evidence_run
from tests.support.judged_run import make_judged_run
from tests.support.pane_runs import answer, bare_run, quantized_run, seed_ids
from tests.support.spikes_run import spiky_run

pytestmark = pytest.mark.slow

THEMES = sorted(name for name in BUILTIN_THEMES if "ansi" not in name)  # the others have the terminal's own colours
# Those with the least contrast between their own colours; they are tried on every screen.
HARD = ("atom-one-dark", "catppuccin-latte", "solarized-light", "textual-dark")
ENOUGH = 4.5
WORDS = re.compile(r"\w")


def faint(app: App[Any]) -> Iterator[tuple[str, float, Style]]:
    """The texts on the screen that are hard to read, with their contrast."""
    strips: Any = app.screen._compositor.render_strips()
    for strip in strips:
        for text, style, _ in strip:
            if style is None or style.color is None or style.bgcolor is None or not WORDS.search(text):
                continue
            found = contrast(Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor))
            if found < ENOUGH - 0.05:  # colours are whole numbers
                yield text, round(found, 1), style


async def look(app: ShellApp, pilot: Any, where: str, themes: Iterable[str] = HARD) -> list[str]:
    """What is hard to read on this screen, in each of the themes."""
    wrong = []
    for theme in themes:
        app.theme = theme
        await pilot.pause()
        wrong += [f"{theme}, {where}: {found} {text!r} {style}" for text, found, style in faint(app)]
    return wrong


def busy(folder: Path) -> None:
    with bare_run(folder, count=6) as run:
        for seed_id in seed_ids(run)[:3]:
            answer(run, seed_id, 1, flags=("truncated",))
        quantized_run(run)


def spiky(folder: Path) -> None:
    with spiky_run(folder):
        pass


def measured(folder: Path) -> None:
    with evidence_run(folder):
        pass


@pytest.mark.parametrize(("make", "keys"), [(busy, "125"), (make_judged_run, "3"), (spiky, "4"), (measured, "6")])
async def test_the_panes(make: Callable[[Path], object], keys: str, tmp_path: Path) -> None:
    make(tmp_path / "run")
    app = app_on(tmp_path / "run")
    wrong: list[str] = []
    async with app.run_test(size=(120, 36)) as pilot:
        for key in keys:
            await pilot.press(f"f{key}")
            await pilot.pause(0.3)
            wrong += await look(app, pilot, f"pane {key}", THEMES if key == "3" else HARD)
    assert not wrong, "\n".join(wrong[:30])


async def test_dialogs_and_messages(folder: Path) -> None:
    app = app_on(folder)
    wrong: list[str] = []
    async with app.run_test(size=(120, 36)) as pilot:
        for key in ("question_mark", "T", "r"):
            await pilot.press(key)
            await until(pilot, lambda: len(app.screen_stack) > 1)
            wrong += await look(app, pilot, f"dialog {key}")
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)
        app.say("a message")
        app.complain("an error")
        wrong += await look(app, pilot, "messages")
    assert not wrong, "\n".join(wrong[:30])


async def test_home_and_the_wizard(folder: Path) -> None:
    app = HomeApp(folder.parent)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app._list.runs)
        wrong = await look(app, pilot, "home")
        await pilot.press("n")
        await until(pilot, lambda: len(app.screen_stack) > 1)
        await pilot.pause(0.5)
        wrong += await look(app, pilot, "wizard")
    assert not wrong, "\n".join(wrong[:30])
