"""The paper's experiments as settings, and which cells of its tables a run has filled."""

from __future__ import annotations

from faq_tui.core.paper.experiments import all_experiments

EXPERIMENTS = all_experiments()


def test_every_table_has_a_preset() -> None:
    assert {e.table for e in EXPERIMENTS} == set(range(1, 12))
    assert len(EXPERIMENTS) == 12, "table 11 has two targets"
