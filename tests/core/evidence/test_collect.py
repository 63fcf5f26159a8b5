"""Metrics of single tokens come from stored values, and leave the other verdicts as they are."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evidence import Evidence, collect
from faq_tui.core.report.document import document
from faq_tui.core.report.markdown import markdown
from tests.support.evidence_run import add_entropies, add_words, evidence_run
from tests.support.schemas import valid

MORE = {"kl_p99", "kl_unsure", "kl_sure", "departure"}


def verdicts(evidence: Evidence) -> list[tuple[str, str, str, object]]:
    """Every outcome of a metric that looks at whole texts."""
    return [
        (comparison.equal, text, name, outcome)
        for comparison in evidence.comparisons
        for text, outcomes in comparison.texts.items()
        for name, outcome in outcomes.items()
        if name not in MORE
    ]


def test_metrics_of_single_tokens(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run") as run:
        before = collect(run)
        assert not MORE & set(before.metrics("pydoc"))
        add_words(run)
        compared = collect(run)
        assert not MORE & set(compared.metrics("answers")) and compared.draws_needed == ()
        valid("report", document(run, compared))
        add_entropies(run)
        after = collect(run)
        assert set(after.metrics("pydoc")) & MORE == {"kl_p99", "kl_unsure", "kl_sure"}
        assert set(after.metrics("answers")) & MORE == MORE and after.metrics("answers")[0] == "kl"
        assert verdicts(before) == verdicts(compared) == verdicts(after)
        rows = {row.name: row.texts["answers"] for row in after.rows}
        assert rows[UNQUANTIZED]["kl_p99"].value == 0.0
        for name, metrics in rows.items():
            if name != UNQUANTIZED:
                assert metrics["departure"].value == 2.0  # the third token is another one in each item
                assert 0.1 < metrics["kl_p99"].value < 2.0  # one token of each item is off by 2 nats
        body = document(run, after)
        valid("report", body)
        assert body["draws_needed"] and "draws_needed" not in document(run, before)
        assert body["interval"]["comparisons"] == document(run, before)["interval"]["comparisons"]
        assert "more held-out items (raise `" in markdown(body), "the settings are written as code"
        assert "99th percentile of KL" in markdown(body) and "tokens to first departure" in markdown(body)
