"""Metrics of single tokens come from stored values, and leave the other verdicts as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.token_columns import encode_entropies
from faq_tui.core.evidence import Evidence, collect
from faq_tui.core.report.document import document
from faq_tui.core.report.markdown import markdown
from faq_tui.core.run.run import Run
from faq_tui.core.store.measurements import add_measurement, all_measurements
from tests.support.evidence_run import add_words, evidence_run
from tests.support.schemas import valid

MORE = {"kl_p99", "kl_unsure", "kl_sure", "kl_answer", "departure"}


def verdicts(evidence: Evidence) -> list[tuple[str, str, str, object]]:
    """Every outcome of a metric that looks at whole texts."""
    return [
        (comparison.equal, text, name, outcome)
        for comparison in evidence.comparisons
        for text, outcomes in comparison.texts.items()
        for name, outcome in outcomes.items()
        if name not in MORE
    ]


def add_entropies(run: Run, text: str) -> None:
    measured = all_measurements(run.store)[UNQUANTIZED, text]
    dice = np.random.default_rng(1)
    values = {n: dice.random(int(tokens)).tolist() for n, tokens in enumerate(measured.items["tokens"])}
    add_measurement(run.store, replace(measured, token_entropy=encode_entropies(values)))


def test_metrics_of_single_tokens(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run") as run:
        before = collect(run)
        assert not MORE & set(before.metrics("pydoc"))
        add_words(run)
        compared = collect(run)
        assert set(compared.metrics("pydoc")) & MORE == {"kl_p99"}
        assert set(compared.metrics("answers")) & MORE == {"kl_p99", "kl_answer", "departure"}
        add_entropies(run, "answers")
        after = collect(run)
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
        assert body["interval"]["comparisons"] == document(run, before)["interval"]["comparisons"]
        assert "99th percentile of KL" in markdown(body) and "tokens to first departure" in markdown(body)
