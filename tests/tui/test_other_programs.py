"""The open app, in which no job runs, shows what another program changes in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

from textual.pilot import Pilot

from faq_tui.core.artefacts.deletion import delete_artefact
from faq_tui.core.store.artefacts import all_artefacts
from faq_tui.tui.app import FaqApp
from tests.support.app_host import app_on, text_of, until
from tests.support.evidence_run import SETS, evidence_run, line_of, measure
from tests.support.judged_run import make_judged_run, seed_ids
from tests.support.pane_runs import answer, bare_run, quantized_run
from tests.support.pane_runs import seed_ids as ids_of
from tests.support.shell import faq_tui
from tests.support.spikes_run import add_made_up

SIZE = (120, 36)


async def idle(app: FaqApp, pilot: Pilot[Any], pane: str) -> None:
    """The app shows the pane with this key, and has found no job."""
    await pilot.press(pane)
    await until(pilot, lambda: app.session.phase == "idle")


async def test_the_seeds_of_a_command_appear(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await idle(app, pilot, "1")
        assert "No seeds loaded" in text_of(app)
        assert faq_tui("run", folder, "--only", "seeds").code == 0
        await until(pilot, lambda: "seed 1 of 4" in text_of(app) and "What is question number 3" in text_of(app))
        await until(pilot, lambda: app.session.outcome == "done" and "Finished. seeds: " in text_of(app))


async def test_new_candidates_appear_in_regenerate(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        app = app_on(run.folder)
        async with app.run_test(size=SIZE) as pilot:
            await idle(app, pilot, "2")
            await until(pilot, lambda: "0 of 90 candidates" in text_of(app))
            for number in (1, 2, 3):
                answer(run, ids_of(run)[0], number)
            await until(pilot, lambda: "done 3/3" in text_of(app) and "Answer 3 of elder." in text_of(app))
            await until(pilot, lambda: "3 of 90 candidates" in text_of(app))


async def test_a_pick_of_a_command_appears_in_judge(tmp_path: Path) -> None:
    folder = make_judged_run(tmp_path / "run")
    app = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await idle(app, pilot, "3")
        await until(pilot, lambda: "0 of 3 reviewed" in text_of(app))
        assert faq_tui("pick", folder, seed_ids(folder)[0], "elder:2").code == 0
        await until(pilot, lambda: "1 of 3 reviewed" in text_of(app))


async def test_measured_activations_appear_in_spikes(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run", count=3) as run:
        app = app_on(run.folder)
        async with app.run_test(size=SIZE) as pilot:
            await idle(app, pilot, "4")
            assert "No activations yet" in text_of(app)
            add_made_up(run, "baseline", 1.0)
            await until(pilot, lambda: "baseline: highest" in text_of(app))


async def test_a_deleted_artefact_disappears_from_quantize(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run", count=3) as run:
        quantized_run(run)
        app = app_on(run.folder)
        async with app.run_test(size=SIZE) as pilot:
            await idle(app, pilot, "5")
            assert "1 of 3 artefacts done" in text_of(app)
            delete_artefact(run, next(iter(all_artefacts(run.store).values())))
            await until(pilot, lambda: "0 of 3 artefacts done" in text_of(app) and "not on the disk" in text_of(app))


async def test_a_new_measurement_appears_in_evidence(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run", sets={name: SETS[name] for name in ("baseline", "elder")}) as run:
        app = app_on(run.folder)
        async with app.run_test(size=SIZE) as pilot:
            await idle(app, pilot, "6")
            await until(pilot, lambda: "v View" in text_of(app) and line_of(text_of(app), "elder "))
            before = line_of(text_of(app), "elder ")
            measure(run, "gptq-w4g128-elder", 0.05)
            await until(pilot, lambda: line_of(text_of(app), "elder ") != before)


async def test_the_pane_reads_at_most_once_a_second_and_only_after_a_change(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        app = app_on(run.folder)
        async with app.run_test(size=SIZE) as pilot:
            await idle(app, pilot, "2")
            with mock.patch.object(app.pane, "shown", wraps=app.pane.shown) as shown:
                await pilot.pause(0.5)
                assert not shown.called
                for number in (1, 2, 3):
                    answer(run, ids_of(run)[0], number)
                    await pilot.pause(0.2)
                assert shown.call_count == 1
                await until(pilot, lambda: shown.call_count == 2 and "3 of 90 candidates" in text_of(app))
                await pilot.pause(1.2)
                assert shown.call_count == 2
