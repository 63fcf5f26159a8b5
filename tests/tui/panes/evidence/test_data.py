"""Which figures the pane Evidence shows: of several draws their means, and those of other settings with a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.evidence import collect
from faq_tui.core.run.run import open_run
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.store import stages
from faq_tui.core.store.seeds import Seed, assign_roles, replace_all
from faq_tui.tui.panes.evidence.pane import EvidencePane
from tests.support.evidence_run import TOML, evidence_run, in_table, line_of, settled
from tests.support.pane_host import PaneHost
from tests.tui.panes.evidence.test_pane import opened


async def test_figures_of_other_settings_are_said_to_be(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run") as run:
        stage = next(stage for stage in all_stages() if stage.name == "evaluate")
        stages.begin(run.store, stage.name, stage.signature(run), "job")
        stages.end(run.store, stage.name, "done")
    for change, said in (("", False), ("window = 96\n", True)):
        (tmp_path / "run" / "faq.toml").write_text(TOML.format(model="./target") + change)
        with open_run(tmp_path / "run") as run:
            pane = EvidencePane(run)
            app = PaneHost(pane)
            async with app.run_test(size=(80, 24)) as pilot:
                await in_table(pane, pilot)
                shown = " ".join(app.screen_text.split())
                assert line_of(app.screen_text, "At equal samples: 3 better"), "a line of its own"
                assert ("have changed since these figures were measured: run the stage again." in shown) == said


@pytest.mark.slow
async def test_several_draws_are_shown_by_their_means(tmp_path: Path) -> None:
    """Else the table's values and its change would tell of different models, and the report of others again."""
    sets = {"baseline": 0.20, "baseline-r2": 0.26, "baseline-r3": 0.26}
    sets |= {"elder": 0.21, "elder-r2": 0.22, "elder-r3": 0.215}
    async with opened(tmp_path, (120, 60), sets=sets, toml=TOML + "repeats = 3\n") as (app, pane, press):
        (found,) = collect(pane.run).comparisons
        outcome = found.texts["pydoc"]["kl"]
        baseline, elder = (line_of(app.screen_text, name) for name in ("baseline ", "elder "))
        assert f" {outcome.baseline:.4f} mean of 3 draws" in baseline
        assert f" {outcome.ours:.4f} mean of 3 draws" in elder and f" {outcome.difference.value:+.4f} [" in elder
        assert outcome.ours - outcome.baseline == pytest.approx(outcome.difference.value) != 0
        detail = " ".join((await press("j", "j")).split())
        assert f"baseline: {found.baseline_samples} samples, {found.baseline_tokens:,} tokens (mean of 3" in detail


@pytest.mark.parametrize("chosen", [0, 24])
async def test_draws_that_share_seeds_are_said_to(tmp_path: Path, chosen: int) -> None:
    sets = {f"{name}{draw}": kl for draw in ("", "-r2") for name, kl in (("baseline", 0.3), ("elder", 0.2))}
    with evidence_run(tmp_path / "run", sets=sets, toml=TOML + "repeats = 2\n") as run:
        seeds = [Seed(({"role": "user", "content": f"Question {n}?"},), None, f"x:{n}") for n in range(chosen)]
        replace_all(run.store, seeds)
        assign_roles(run.store, [seed.id for seed in seeds], [])
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            said = "Each draw has 12 of the same 24 seeds, so the intervals are wider."
            assert (said in app.screen_text) == (chosen > 0)
