"""Run tasks of lm_eval in a worker child, and convert their results to `Result` rows."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, Stopped, UsageError
from faq_tui.core.benchmarking.plan import BenchmarkRequest, own_path
from faq_tui.core.benchmarking.serving import ServedModel, without_proxy
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

Rows = list[dict[str, Any]]

# lm_eval computes bootstrap errors in as many processes as the machine has cores. It forks them from the worker
# child, which holds a model and has threads, so a fork may wait forever for a lock. One process computes the same
# numbers.
ONE_PROCESS = {"DISABLE_MULTIPROC": "1"}


def refuse_unusable(folder: Path | None) -> None:
    """Raise FaqError if lm_eval is not installed, and UsageError if `folder` is missing.

    `folder` is the folder with the user's own tasks, or None if the user has no own tasks.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise FaqError("lm_eval is not installed: pip install 'faq-tui[lm-eval]'")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: correct evaluate.lm_eval.include_path")


def run_lm_eval(
    context: Context,
    target: TargetModel,
    requests: Sequence[BenchmarkRequest],
    served: ServedModel | None,
    on_start: Callable[[BenchmarkRequest], None],
    on_done: Callable[[BenchmarkRequest, Rows], None],
    on_failed: Callable[[BenchmarkRequest, str], None],
) -> None:
    """Run all `requests` in a worker child.

    If the child crashes on a model, a new child continues with the next model.

    If `served` is given, all requests must be for this served model. Raises Stopped if the run is stopped. Raises
    FaqError if the child fails before it loads its first model.
    """
    left = {(request.subject, request.task): request for request in requests}
    at = ""
    settings = context.run.settings
    keys = without_keys(settings, settings.evaluate.lm_eval.api_key_env if served else None)
    env = {**without_proxy(), **keys, **ONE_PROCESS}

    def hear(message: dict[str, Any]) -> None:
        nonlocal at
        kind, at = message["kind"], message["subject"]
        if kind == "started":
            on_start(left[at, message["task"]])
        elif kind == "done":
            on_done(left.pop((at, message["task"])), message["rows"])
        elif kind == "failed":
            on_failed(left.pop((at, message["task"])), message["message"])

    while left:
        at = ""
        try:
            spec = _spec(context, target, list(left.values()), served)
            run_worker("lm_eval", spec, hear, context.cancel, context.run.log(context.job), env)
        except Stopped:
            raise
        except FaqError as error:
            if not at:
                raise
            for key in [key for key in left if key[0] == at]:
                on_failed(left.pop(key), str(error))


def _spec(
    context: Context, target: TargetModel, requests: Sequence[BenchmarkRequest], served: ServedModel | None
) -> dict[str, Any]:
    run, settings = context.run, context.run.settings.evaluate.lm_eval
    own = own_path(run, settings.include_path) if settings.include_path else None
    models = [
        {
            "subject": subject,
            "folder": "" if subject == UNQUANTIZED else str(run.models / subject),
            "tasks": [request.task for request in requests if request.subject == subject],
        }
        for subject in dict.fromkeys(request.subject for request in requests)
    ]
    return {
        "target": target.path,
        "models": models,
        "trust_remote_code": target.trust_remote_code,
        "device": target.device,
        "dtype": target.dtype,
        "served": None if served is None else asdict(served),
        "resamples": run.settings.evaluate.bootstrap,
        "settings": {**settings.model_dump(mode="json"), "include_path": str(own) if own else None},
    }


STDERR = "_stderr"


def parse(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Convert lm_eval's results to rows.

    A row holds the value of one metric for the task, for a part of the task, or for a group of tasks.

    `results` is the value that lm_eval's `simple_evaluate` returned. The key of a metric in `results` is
    "METRIC,FILTER": for example, `acc,none` is the accuracy and `acc_stderr,none` is the accuracy's standard error.
    An unknown standard error is "N/A". A row has the same keys as `Result`. Values stay as in lm_eval: an accuracy is
    a share, not a percentage.
    """
    rows = []
    for name, metrics in {**results["results"], **results.get("groups", {})}.items():
        for key, value in metrics.items():
            metric, comma, how = key.partition(",")
            if not comma or metric.endswith(STDERR) or not isinstance(value, int | float):
                continue
            rows.append(
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
    return rows


def finite(value: Any) -> float | None:
    """The value as a float. Returns None if the value is not a finite number."""
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
    """The value of the metric for each item, in the order of the data.

    Returns None if the value of an item is not a number, but for example a pair of numbers.
    """
    own = sorted((s for s in samples if s.get("filter") == how), key=lambda s: int(s["doc_id"]))
    values = [s.get(metric) for s in own]
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    return numbers if numbers and len(numbers) == len(values) else None
