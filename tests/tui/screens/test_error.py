"""The dialog with the whole text of the last errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from faq_tui.core.run.events import StageFailed, StageStarted
from faq_tui.tui import clipboard
from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.screens.error import ErrorScreen
from tests.support.app_host import app_on, text_of, until

SIZES = [(80, 24), (120, 36), (200, 60)]
THEMES = ("textual-dark", "textual-light")
Snap = Callable[..., bool]
LONG = (
    "http://elder:8000/v1 does not serve model 'Qwen/Qwen3-235B-A22B-Instruct'; its models are Qwen/Qwen3-30B-A3B: "
    "correct `sources.elder.model` in faq.toml"
)


async def failed(pilot: Pilot[None]) -> None:
    """As after a job that failed with a long sentence."""
    app = pilot.app
    assert isinstance(app, FaqApp)
    await until(pilot, lambda: app.session.phase == "idle")
    app.session.live.apply(StageStarted("regenerate", 4, "candidates"), 1.0)
    app.session.live.apply(StageFailed("regenerate", LONG, 3), 2.0)
    app.session.outcome = "failed"
    await until(pilot, lambda: "regenerate failed" in text_of(app))


async def test_an_error_that_is_cut_is_readable_whole_and_can_be_copied(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await failed(pilot)
        line = text_of(app).splitlines()[2]
        assert "! shows the whole error" in line and "…" in line
        app.complain("and one more\x1b[2J [red]error[/]")
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: isinstance(app.screen, ErrorScreen))
        text = " ".join(text_of(app).replace("│", " ").split())
        assert LONG in text and "regenerate failed: " in text and "and one more" in text and "[red]error[/]" in text
        assert "\x1b" not in text
        await pilot.press("y")
        await until(pilot, lambda: clipboard.copy_file().exists() and LONG in clipboard.copy_file().read_text())
        await pilot.press("escape")
        assert not isinstance(app.screen, ErrorScreen)


async def test_without_an_error_it_says_so(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "there is no error" in text_of(app))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_dialog(folder: Path, snap_compare: Snap, size: tuple[int, int], theme: str) -> None:
    async def show(pilot: Pilot[None]) -> None:
        await failed(pilot)
        await pilot.press("exclamation_mark")
        await pilot.pause()

    assert snap_compare(app_on(folder, Config(theme=theme)), terminal_size=size, run_before=show)
