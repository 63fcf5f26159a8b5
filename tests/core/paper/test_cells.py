"""Which cells of the paper's tables a run has filled."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.benchmarking.plan import wanted
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.paper.cells import paper_cells
from faq_tui.core.paper.columns import GENERAL, SOURCES
from faq_tui.core.paper.preset_text import PresetChoices, preset_text
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.benchmarks import Result, replace_results


def result(run: Run, subject: str, task: str, metric: str, value: float, name: str = "", how: str = "none") -> Result:
    """As if it had been measured just now."""
    request = next(r for r in wanted(run) if (r.subject, r.task) == (subject, task))
    more = (9, 1, 0, "1", "0.4.13", True, None, request.signature)
    return Result(subject, request.engine, task, name or task, metric, how, value, 0.1, *more)


def test_status_tells_which_cells_are_filled(tmp_path: Path) -> None:
    (tmp_path / "faq.toml").write_text(preset_text("paper/table1", PresetChoices()))
    with open_run(tmp_path) as run:
        empty = paper_cells(run)
        assert empty is not None and empty["filled"] == 0 and len(empty["cells"]) == 3 * 13
        assert not any(c["bits"] == "AVG" for c in empty["cells"])
        add_artefact(run.store, Artefact("gptq-w4g128-elder", "s", {}, "elder", None, 4, 400, 4.2, 9.0))
        for subject in (UNQUANTIZED, "gptq-w4g128-elder"):
            replace_results(run.store, [result(run, subject, "wikitext", "word_perplexity", 12.5)])
            both = [("perplexity", 7.0), ("acc", 0.61)]
            replace_results(run.store, [result(run, subject, "lambada_openai", m, v) for m, v in both])
        found = paper_cells(run)
        assert found is not None and found["filled"] == 4
        ours = {(c["bits"], c["method"], c["calibration"], c["metric"]): c["ours"] for c in found["cells"]}
        assert ours["INT4", "GPTQ", "elder", "lambada_ppl"] == 7.0 and ours["BF16", "-", "none", "c4_ppl"] is None
        assert ours["INT4", "GPTQ", "baseline", "wikitext2_ppl"] is None
        assert next(c for c in found["cells"] if c["ours"] == 7.0 and c["bits"] == "INT4")["paper"] == 7.26


def test_a_mean_is_filled_by_all_of_its_parts_in_percent(tmp_path: Path) -> None:
    (tmp_path / "faq.toml").write_text(preset_text("paper/table5", PresetChoices()))
    with open_run(tmp_path) as run:
        for number, column in enumerate(GENERAL):
            source = SOURCES[column]
            mean = paper_cells(run)
            assert mean is not None
            assert next(c["ours"] for c in mean["cells"] if c["metric"] == "grmc" and c["bits"] == "BF16") is None
            parts = ("de", "zh") if column == "mgsm" else ("",)
            names = [f"mgsm_direct_{part}" if part else source.task for part in parts]
            rows = [
                result(
                    run, UNQUANTIZED, source.task, source.metric, 0.1 + number / 100 + at / 10, name, source.filter
                )
                for at, name in enumerate(names)
            ]
            replace_results(run.store, rows)
        found = paper_cells(run)
        assert found is not None and found["filled"] == 1
        value = next(c["ours"] for c in found["cells"] if c["metric"] == "grmc" and c["bits"] == "BF16")
        assert value == pytest.approx(100 * (sum(0.1 + n / 100 for n in range(12)) + 0.05) / 12)


def test_a_run_of_ones_own_has_no_table(tmp_path: Path) -> None:
    (tmp_path / "faq.toml").write_text('[target]\nmodel = "a/b"\n[seeds]\npath = "starter"\n')
    with open_run(tmp_path) as run:
        assert paper_cells(run) is None
