"""Results of lm_eval as ours: groups, filters, and errors that are missing."""

from __future__ import annotations

from typing import Any

from faq_tui.core.benchmarking import lm_eval


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
