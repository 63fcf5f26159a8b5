"""Where regenerating has a price, the app asks before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.tui.screens.choice import ChoiceScreen
from tests.support.app_host import app_on, text_of, until
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import faq_tui_process, make_run, rows

PRICED = "price = { input = 1.0, output = 2.0 }"


@pytest.mark.slow
async def test_r_asks_what_to_spend_and_a_yes_starts_it(tmp_path: Path) -> None:
    with FakeServer(Behaviour(tokens_per_piece=100)) as server:
        folder = make_run(tmp_path / "run", server.url, seeds=6, source=PRICED)
        assert faq_tui_process("run", folder, "--until", "regenerate").code == ExitCode.USAGE
        app = app_on(folder)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.session.phase == "idle")
            await pilot.press("2", "R")
            await until(pilot, lambda: isinstance(app.screen, ChoiceScreen))
            shown = " ".join(text_of(app).split())
            assert "15 candidates to come" in shown and "a cost of 0." in shown
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, ChoiceScreen))
            assert app.session.phase == "idle" and server.stats().asked.total() == 3, "nothing is spent without a yes"
            await pilot.press("R")
            await until(pilot, lambda: isinstance(app.screen, ChoiceScreen))
            await pilot.press("y")
            await until(pilot, lambda: rows(folder, "SELECT count(*) FROM candidates") == [(18,)], 60)
            await until(pilot, lambda: app.session.phase == "idle", 60)


async def test_a_candidate_that_failed_in_an_earlier_job_is_shown_so(tmp_path: Path) -> None:
    from tests.support.fake_server import Fault

    with FakeServer(Behaviour(fault=lambda asked: Fault("error") if asked.number == 1 else None)) as server:
        folder = make_run(tmp_path / "run", server.url, seeds=1, source="retries = 0")
        assert faq_tui_process("run", folder, "--until", "regenerate").code == ExitCode.FAILED
    app = app_on(folder)
    async with app.run_test(size=(200, 40)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "1 failed" in text_of(app) and "made-up trouble" in text_of(app))
