"""From evalscope's report and its answers' scores to plain rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from faq_tui.core.benchmarking.lm_eval_parse import finite

Means = dict[tuple[str, Any], float]  # (subset, question) -> mean over its answers


def parse(answer: dict[str, Any], task: str, repeats: int) -> list[dict[str, Any]]:
    """A row for every metric of the benchmark, then of each of its subsets; keys as in `Result`.

    evalscope gives no standard error. Ours is over questions: the standard deviation of their means over
    `repeats` answers, divided by the square root of their number (Miller 2024, "Adding error bars to evals",
    arXiv 2411.00640, section 3.1: answers to one question are no independent draws).
    """
    found = []
    for metric in answer["report"]["metrics"]:
        identity = metric["identity"]
        means = _means(answer["scores"], identity) if identity.get("aggregation") == "mean" else {}
        common = {
            "metric": _name(identity),
            "filter": "",
            "repeats": repeats,
            "num_fewshot": answer["num_fewshot"],
            "version": answer["version"] or "",
            "engine_version": answer["evalscope_version"],
            "higher_is_better": _better(metric.get("semantics") or {}),
        }
        found.append({**common, "name": task, "value": finite(metric["score"]), **_spread(means, metric, repeats)})
        subsets = [s for c in metric["categories"] for s in c["subsets"] if not s.get("is_aggregate")]
        for subset in subsets if len(subsets) > 1 else ():
            own = {key: mean for key, mean in means.items() if key[0] == subset["name"]}
            row = {"name": f"{task}/{subset['name']}", "value": finite(subset["score"])}
            found.append({**common, **row, **_spread(own, subset, repeats)})
    return found


def _name(identity: dict[str, Any]) -> str:
    """`accuracy`, `accuracy (pass_at_k, k=1)`."""
    more = [f"{key}={value}" for key, value in (identity.get("dimensions") or {}).items()]
    if identity.get("aggregation") not in (None, "mean"):
        more.insert(0, str(identity["aggregation"]))
    return str(identity["name"]) + (f" ({', '.join(more)})" if more else "")


def _means(scores: Iterable[dict[str, Any]], identity: dict[str, Any]) -> Means:
    values: dict[tuple[str, Any], list[float]] = defaultdict(list)
    for score in scores:
        value = (score["values"] or {}).get(identity["name"])
        if not isinstance(value, int | float):
            return {}
        values[score["subset"], score["question"]].append(float(value))
    return {key: sum(answers) / len(answers) for key, answers in values.items()}


def _spread(means: Means, counted: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Number of questions, standard error, and each question's mean in the order of the data."""
    if not means:
        return {"n": int(counted["num"]) // repeats, "stderr": None, "items": None}
    items = [means[key] for key in sorted(means, key=lambda key: (key[0], key[1]))]
    return {"n": len(items), "stderr": standard_error(items), "items": items}


def standard_error(items: list[float]) -> float | None:
    """Of the mean; None for fewer than two."""
    count = len(items)
    if count < 2:
        return None
    mean = sum(items) / count
    return math.sqrt(sum((item - mean) ** 2 for item in items) / (count - 1) / count)


def _better(semantics: dict[str, Any]) -> bool | None:
    return {"higher_is_better": True, "lower_is_better": False}.get(str(semantics.get("direction")))
