"""From the programs' results to ours, which tasks a list stands for, and what is said when one fails."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import UsageError
from faq_tui.core.benchmarking import evalscope, lm_eval
from faq_tui.core.benchmarking.evalscope import generation
from faq_tui.core.benchmarking.faults import explain, names_of
from faq_tui.core.settings import parse_settings
from faq_tui.core.settings.evaluate import LISTS, Evalscope, expand, split_subset

HEAD = '[target]\nmodel = "m"\n[seeds]\npath = "starter"\n'


def test_lists_are_the_papers_and_lambada_is_run_once() -> None:
    assert len(LISTS["general12"][1]) == 12 and len(LISTS["special5"][1]) == 5 and len(LISTS["ppl3"][1]) == 3
    both = expand("lm_eval", ("ppl3", "general12", "mine"))
    assert len(both) == 15 and both.count("lambada_openai") == 1 and both[-1] == "mine"
    assert split_subset("live_code_bench:v6") == ("live_code_bench", "v6") and split_subset("aime24") == (
        "aime24",
        None,
    )


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[evaluate.lm_eval]\ntasks = ["special5"]', r"special5 has tasks of evalscope: move it to"),
        ('[evaluate.evalscope]\ntasks = ["ppl3"]', r"ppl3 has tasks of lm_eval"),
        ('[evaluate.lm_eval]\nmode = "endpoint"', 'mode "endpoint" needs base_url'),
        ('[evaluate.lm_eval]\nbase_url = "serve"', 'base_url is only for mode "endpoint"'),
        ('[evaluate.evalscope]\nbase_url = "host:80"', "must begin with http"),
        ("[evaluate.lm_eval]\nnum_fewshots = 5", "did you mean `num_fewshot`"),
    ],
)
def test_settings_that_cannot_work_say_why(toml: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_settings(HEAD + toml)


def test_groups_filters_and_missing_errors_of_lm_eval() -> None:
    results: dict[str, Any] = {
        "results": {
            "group": {"alias": "group", "acc,none": 0.5, "acc_stderr,none": 0.1, "sample_count": {"acc,none": 30}},
            "part": {
                "alias": " - part",
                "exact_match,strict": float("nan"),
                "exact_match_stderr,strict": "N/A",
                "exact_match,loose": 0.25,
                "exact_match_stderr,loose": 0.2,
                "sample_len": 4,
            },
            "tag": {"alias": "tag"},
        },
        "versions": {"part": 3.0},
        "n-shot": {"part": 5},
        "n-samples": {"part": {"original": 9, "effective": 4}},
        "higher_is_better": {"part": {"exact_match": True}, "group": None},
        "samples": {
            "part": [
                {"doc_id": n, "filter": how, "exact_match": float(n == 2 and how == "loose")}
                for n in (2, 0, 1, 3)
                for how in ("strict", "loose")
            ]
        },
    }
    group, strict, loose = lm_eval.parse(results)
    assert (group["name"], group["n"], group["items"], group["version"]) == ("group", 30, None, "")
    assert strict["value"] is None and strict["stderr"] is None and strict["filter"] == "strict"
    assert (loose["value"], loose["stderr"], loose["n"], loose["num_fewshot"]) == (0.25, 0.2, 4, 5)
    assert loose["items"] == [0.0, 0.0, 1.0, 0.0] and loose["version"] == "3.0"


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


def test_each_fault_is_one_sentence_that_says_what_to_do() -> None:
    def said(error: BaseException) -> str:
        return explain("lm_eval", "piqa", names_of(error), str(error))

    assert "check the network" in said(ConnectionError("Couldn't reach\nthe Hub"))
    assert "not installed (No module named 'langdetect')" in said(ModuleNotFoundError("No module named 'langdetect'"))
    assert said(ZeroDivisionError("by\nzero")) == "piqa of lm_eval failed with ZeroDivisionError: by zero"
    try:
        try:
            raise ConnectionError("no route")
        except ConnectionError as cause:
            raise RuntimeError("could not load") from cause
    except RuntimeError as error:
        assert "cannot be had" in said(error), "a cause counts as well"
