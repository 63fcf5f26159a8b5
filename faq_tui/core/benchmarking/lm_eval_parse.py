"""From lm_eval's results to plain rows."""

from __future__ import annotations

import math
from typing import Any

STDERR = "_stderr"


def parse(results: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for every metric of the task, its parts and its groups; keys as in `Result`.

    `results` is what `simple_evaluate` returns: metrics are keyed `acc,none` (metric, filter), their standard
    errors `acc_stderr,none`, "N/A" where there is none. Values stay as lm_eval gives them: shares, not percent.
    """
    found = []
    for name, metrics in {**results["results"], **results.get("groups", {})}.items():
        for key, value in metrics.items():
            metric, comma, how = key.partition(",")
            if not comma or metric.endswith(STDERR) or not isinstance(value, int | float):
                continue
            found.append(
                {
                    "name": name,
                    "metric": metric,
                    "filter": how,
                    "value": finite(value),
                    "stderr": finite(metrics.get(f"{metric}{STDERR},{how}")),
                    "n": _count(results, name, metrics, key),
                    "repeats": _repeats(results, name),
                    "num_fewshot": results.get("n-shot", {}).get(name),
                    "version": _text(results.get("versions", {}).get(name)),
                    "engine_version": _text(results.get("lm_eval_version")),
                    "higher_is_better": (results.get("higher_is_better", {}).get(name) or {}).get(metric),
                    "items": _items(results.get("samples", {}).get(name, []), metric, how),
                }
            )
    return found


def finite(value: Any) -> float | None:
    """The number, or None where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _count(results: dict[str, Any], name: str, metrics: dict[str, Any], key: str) -> int:
    effective = results.get("n-samples", {}).get(name, {}).get("effective")
    for count in (effective, (metrics.get("sample_count") or {}).get(key), metrics.get("sample_len")):
        if isinstance(count, int):
            return count
    return 0


def _repeats(results: dict[str, Any], name: str) -> int:
    return int(results.get("configs", {}).get(name, {}).get("repeats") or 1)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _items(samples: list[dict[str, Any]], metric: str, how: str) -> list[float] | None:
    """The metric of each item in the order of the data; None where it is no number (a pair of sums, say)."""
    own = sorted((s for s in samples if s.get("filter") == how), key=lambda s: int(s["doc_id"]))
    values = [s.get(metric) for s in own]
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    return numbers if numbers and len(numbers) == len(values) else None
