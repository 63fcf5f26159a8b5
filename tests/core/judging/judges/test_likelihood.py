"""What the judge likelihood says about a score."""

from __future__ import annotations

from faq_tui.core.judging.judges.likelihood import JUDGE


def test_a_controlled_score_says_both_numbers() -> None:
    details = {
        "tokens": 127,
        "answer": {"mean_logprob": -1.2, "tokens": 100},
        "reasoning": {"mean_logprob": -1.67037, "tokens": 27},
    }
    assert JUDGE.controlled(-1.3401, details) == "likelihood -1.30 (127 tokens); -1.34 after length control"
    assert JUDGE.controlled(-1.3401, {}) == "-1.340 after length control"
