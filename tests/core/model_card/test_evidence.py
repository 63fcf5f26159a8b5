"""The results in a card are those of its artefact, with the words of the report."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.model_card.evidence import ALONE, AS_BASELINE, NOTHING, evidence_lines
from faq_tui.core.report.answer import in_short
from faq_tui.core.report.document import document
from faq_tui.core.store.artefacts import all_artefacts
from tests.support.made_up import TOML, add_made_up_artefact, made_up_run, measure_all


def test_the_verdict_is_that_of_the_report(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, {"baseline": 0.30, "elder": 0.20, "baseline-tokens": 0.30, "elder-tokens": 0.297})
        body, rows = document(run), all_artefacts(run.store)
    elder, tokens = (evidence_lines(body, rows[f"gptq-w4g64-{name}"]) for name in ("elder", "elder-tokens"))
    for lines, equal in ((elder, "samples"), (tokens, "tokens")):
        own = {**body, "comparisons": [c for c in body["comparisons"] if c["equal"] == equal]}
        (verdict,) = [line for line in in_short(own) if line.startswith("**In short")]
        assert verdict in lines
        cells = [line for line in lines if line.startswith("| gptq-w4g64 ")]
        assert cells and all(f"| {equal} " in line for line in cells), "only the comparisons of this artefact"
    assert any("[" in line for line in elder if line.startswith("| pydoc")), "its own figures have intervals"


def test_the_baseline_is_named_as_such(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, {"baseline": 0.30, "elder": 0.20})
        lines = evidence_lines(document(run), all_artefacts(run.store)["gptq-w4g64-baseline"])
    assert AS_BASELINE in lines and not any(line.startswith("**In short") for line in lines)


def test_without_measurements_there_is_no_evidence(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, {"elder": 0.20})
        rows = all_artefacts(run.store)
        assert NOTHING in evidence_lines(None, rows["gptq-w4g64-elder"])
        assert NOTHING in evidence_lines(document(run), rows["gptq-w4g64-baseline"])
        assert ALONE in evidence_lines(document(run), rows["gptq-w4g64-elder"])


def test_every_draw_has_the_comparison_of_all_draws(tmp_path: Path) -> None:
    with made_up_run(tmp_path, TOML + "repeats = 2\n") as run:
        for name in ("baseline-r2", "elder-r2"):
            add_made_up_artefact(run, name)
        measure_all(run, {"baseline": 0.30, "elder": 0.20, "baseline-r2": 0.31, "elder-r2": 0.21})
        lines = evidence_lines(document(run), all_artefacts(run.store)["gptq-w4g64-elder-r2"])
    assert any(line.startswith("**In short") for line in lines)
    assert any("every set was drawn 2 times" in line for line in lines)
