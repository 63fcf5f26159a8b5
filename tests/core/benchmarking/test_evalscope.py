"""Results of evalscope as ours: errors over questions, subsets, and the thinking switch."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.benchmarking import evalscope
from faq_tui.core.benchmarking.evalscope import generation
from faq_tui.core.settings.evaluate import Evalscope


def answer_of(scores: dict[str, list[list[float]]]) -> dict[str, Any]:
    """What the runner writes, for the scores of each subset's questions and their answers."""
    each: list[dict[str, Any]] = [
        {"subset": subset, "question": number, "values": {"accuracy": score}}
        for subset, questions in scores.items()
        for number, answers in enumerate(questions)
        for score in reversed(answers)
    ]
    subsets = [
        {
            "name": name,
            "score": statistics.fmean(s for q in questions for s in q),
            "num": sum(map(len, questions)),
            "is_aggregate": False,
        }
        for name, questions in scores.items()
    ]
    metric: dict[str, Any] = {
        "identity": {"name": "accuracy", "aggregation": "mean", "dimensions": {}},
        "num": len(each),
        "score": statistics.fmean(e["values"]["accuracy"] for e in each),
        "categories": [{"name": ["default"], "subsets": subsets}],
        "semantics": {"direction": "higher_is_better"},
    }
    return {
        "evalscope_version": "1.14.0",
        "version": "v1.1",
        "num_fewshot": 0,
        "report": {"metrics": [metric]},
        "scores": each,
    }


bits = st.sampled_from([0.0, 1.0])


@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(bits, min_size=k, max_size=k), min_size=2, max_size=9)))
def test_the_error_of_evalscope_is_over_questions_not_over_answers(questions: list[list[float]]) -> None:
    repeats = len(questions[0])
    (row,) = evalscope.parse(answer_of({"default": questions}), "aime24", repeats)
    means = [statistics.fmean(answers) for answers in questions]
    assert row["n"] == len(questions) and row["items"] == means
    assert row["stderr"] == pytest.approx(statistics.stdev(means) / math.sqrt(len(means)))
    assert row["value"] == pytest.approx(statistics.fmean(means)) and row["higher_is_better"]


def test_subsets_of_evalscope_are_rows_of_their_own() -> None:
    rows = evalscope.parse(answer_of({"Level 1": [[1.0], [0.0]], "Level 2": [[1.0]]}), "math_500", 1)
    assert [row["name"] for row in rows] == ["math_500", "math_500/Level 1", "math_500/Level 2"]
    assert [row["n"] for row in rows] == [3, 2, 1] and rows[2]["stderr"] is None


def test_a_metric_without_scores_of_its_own_keeps_its_value() -> None:
    answer = answer_of({"v5": [[1.0, 0.0], [0.0, 0.0]]})
    metric = answer["report"]["metrics"][0]
    metric["identity"] = {"name": "accuracy", "aggregation": "pass_at_k", "dimensions": {"k": 1}}
    (row,) = evalscope.parse(answer, "live_code_bench:v5", 2)
    assert (row["metric"], row["value"], row["n"]) == ("accuracy (pass_at_k, k=1)", 0.25, 2)
    assert row["stderr"] is None and row["items"] is None


def test_the_thinking_switch_travels_inside_extra_body() -> None:
    assert "chat_template_kwargs" not in generation(Evalscope())["extra_body"]
    sent = generation(Evalscope(enable_thinking=False))
    assert sent["extra_body"]["chat_template_kwargs"] == {"enable_thinking": False}
    assert set(sent) == {"temperature", "top_p", "max_tokens", "extra_body"} and sent["extra_body"]["top_k"] == 20
