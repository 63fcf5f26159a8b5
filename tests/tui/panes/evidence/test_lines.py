"""The pane Evidence: lm_eval's and evalscope's figures below our own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faq_tui.core.benchmarking.plan import wanted
from faq_tui.core.run import events as e
from faq_tui.core.store.benchmarks import replace_results, set_problem
from faq_tui.tui.panes.evidence.pane import EvidencePane
from tests.support.app_host import until
from tests.support.evidence_run import TOML, evidence_run, in_table, line_of, settled
from tests.support.made_up import made_up_result
from tests.support.pane_host import PaneHost


@pytest.mark.slow
async def test_benchmarks_stand_below_our_own_measurements(tmp_path: Path) -> None:
    toml = TOML + '[evaluate.lm_eval]\ntasks = ["piqa", "arc_easy"]\n'
    with evidence_run(tmp_path / "run", toml=toml) as run:
        for number, request in enumerate(wanted(run)):
            if request.task == "arc_easy":
                set_problem(run.store, request.key, "arc_easy: its data is not on this machine")
                continue
            items = tuple(float((item + number) % 3 > 0) for item in range(30))
            replace_results(run.store, [made_up_result(request, items, 0.0875)])
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(120, 36)) as pilot:
            await in_table(pane, pilot)
            at = next(n for n, row in enumerate(pane.rows) if "of piqa" in row.name)
            for _ in range(at + 3):
                await pilot.press("j")
            await settled(pane, pilot)
            text = app.screen_text
            assert "acc of piqa · higher is better" in text
            assert "0.6667 ± 0.0875" in " ".join(line_of(text, "gptq-w4g128-elder ").split())
            assert re.search(r"[+-]0\.\d{4} ± 0\.\d{4}", line_of(text, "gptq-w4g128-elder ")), "against the baseline"
            assert "Against gptq-w4g128-baseline" in " ".join(text.split())
            await pilot.press("G")
            await settled(pane, pilot)
            assert "Benchmarks that are not measured" in app.screen_text
            assert "its data is not on this machine" in app.screen_text
            at = next(n for n, row in enumerate(pane.rows) if row.name == "Benchmarks that are not measured")
            assert pane.rows[at].detail == "The stage evaluate tries to measure them again; r starts it."
            app.live.stages = ("evaluate", "report")
            app.hear(e.StageStarted("evaluate", 9, "measurements"))
            again = "The stage evaluate tries to measure them again; it is running now."
            await until(pilot, lambda: pane.rows[at].detail == again)
            assert "acc of piqa" in str(pane.text_to_copy())
