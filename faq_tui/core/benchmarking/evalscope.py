"""Run one benchmark of evalscope on a served model. evalscope runs in a separate Python process.

evalscope 1.14 and the quantizers need different versions of the same packages. Therefore evalscope usually has its
own Python environment. The setting `python` in `[evaluate.evalscope]` is the path of its interpreter.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import atomic_text, private_folder
from faq_tui.core.base.secrets import without_credentials
from faq_tui.core.benchmarking import evalscope_runner
from faq_tui.core.benchmarking.faults import explain
from faq_tui.core.benchmarking.guard import guarded
from faq_tui.core.benchmarking.lm_eval import finite
from faq_tui.core.benchmarking.plan import BenchmarkRequest, own_path
from faq_tui.core.benchmarking.serving import ServedModel, without_proxy
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import Run
from faq_tui.core.settings.evaluate import EVALSCOPE, Evalscope, split_subset
from faq_tui.core.settings.secrets import has_credentials, secrets_of_run
from faq_tui.core.settings.source import OFF
from faq_tui.core.worker.parent import without_keys

IN_EXTRA_BODY = ("top_k", "min_p", "repetition_penalty")  # parameters that OpenAI's API does not have
OPENAI_ERROR = "APIError"  # the base class of the errors of the client with which evalscope calls the server
FIND = "import importlib.util, sys; sys.exit(0 if importlib.util.find_spec('evalscope') else 3)"
FIND_TIMEOUT_S = 60.0


def python_of(run: Run) -> str:
    """The path of the Python that runs evalscope.

    Raises FaqError if the file is missing or evalscope is not installed.
    """
    given = run.settings.evaluate.evalscope.python
    python = sys.executable if given is None else shutil.which(given) or str(own_path(run, given))
    try:
        done = subprocess.run([python, "-c", FIND], capture_output=True, timeout=FIND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise FaqError(
            f"evaluate.evalscope.python: {given} cannot be run: give the path of a Python, such as DIR/bin/python"
        ) from None
    if done.returncode != 0:
        raise FaqError(
            f"{python} has no evalscope: make a separate environment for it (python -m venv DIR, then "
            'DIR/bin/pip install evalscope==1.14.0) and set python = "DIR/bin/python" under [evaluate.evalscope]'
        )
    return python


def run_evalscope(
    context: Context, python: str, request: BenchmarkRequest, served: ServedModel
) -> list[dict[str, Any]]:
    """Run the benchmark and return its rows. Raises FaqError with the reason in one sentence, or Stopped.

    If the benchmark is stopped, the answers received so far stay in the run's cache and are not requested again.
    """
    settings = context.run.settings.evaluate.evalscope
    if has_credentials(served.base_url):
        raise FaqError(
            f"{request.task} cannot run on {without_credentials(served.base_url)}, because evalscope would write the "
            "user, the password and the query of its base_url to files: give the key by api_key_env"
        )
    work = context.run.cache / "evalscope" / request.signature
    private_folder(work)
    order, answer = work / "order.json", work / "answer.json"
    answer.unlink(missing_ok=True)
    with atomic_text(order) as file:
        json.dump(_order(context.run, request.task, served, work), file)
    command = [python, str(Path(evalscope_runner.__file__)), str(order), str(answer)]
    log = context.run.log(context.job)
    env = {**without_proxy(), **without_keys(context.run.settings, settings.api_key_env), "PYTHONUNBUFFERED": "1"}
    try:
        with guarded(command, log, env, work) as guard:
            while guard.poll() is None:
                context.cancel.wait(0.2)
                context.cancel.check()
    finally:  # evalscope stores the server's answers, and a server may repeat the key
        secrets_of_run(context.run.settings).scrub(work)
    try:
        body = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise FaqError(f"evalscope ended without a result for {request.task}: see its output in {log}") from None
    if "error" in body:
        raise FaqError(_sentence(request.task, body["error"]))
    rows = parse(body, request.task, settings.repeats)
    if not rows:
        raise FaqError(f"evalscope returned no score for {request.task}: see its output in {log}")
    shutil.rmtree(work, ignore_errors=True)
    return rows


def _order(run: Run, task: str, served: ServedModel, work: Path) -> dict[str, Any]:
    settings = run.settings.evaluate.evalscope
    name, subset = split_subset(task)
    own: dict[str, Any] = {"subset_list": [subset]} if subset else {}
    data = own_path(run, settings.dataset_dir) / name if settings.dataset_dir else None
    if data is not None and data.exists():
        own["dataset_id"] = str(data)
    outputs = work / "outputs"
    config: dict[str, Any] = {
        "model": served.model,
        "api_url": served.base_url,
        "eval_type": "openai_api",
        "datasets": [name],
        "dataset_args": {name: own} if own else {},
        "dataset_hub": settings.dataset_hub,
        "repeats": settings.repeats,
        "limit": settings.limit,
        "eval_batch_size": settings.concurrency,
        "generation_config": generation(settings),
        "work_dir": str(outputs),
        "no_timestamp": True,
        "seed": settings.sampling.first_seed,
    }
    if settings.allow_code_execution:
        config["sandbox"] = {"enabled": settings.sandbox == "docker", "engine": "docker"}
    return {
        "benchmark": name,
        "config": config,
        "api_key_env": settings.api_key_env,
        "allow_code_execution": settings.allow_code_execution,
    }


def generation(settings: Evalscope) -> dict[str, Any]:
    """Build evalscope's generation_config. Parameters that OpenAI's API does not have are put into `extra_body`.

    chat_template_kwargs is also put into `extra_body`, because evalscope ignores it at the top level of
    generation_config.
    """
    sampling = settings.sampling
    set_values = {name: value for name, value in sampling if value != OFF}
    extra = {name: value for name, value in set_values.items() if name in IN_EXTRA_BODY}
    if settings.enable_thinking is not None:
        extra["chat_template_kwargs"] = {"enable_thinking": settings.enable_thinking}
    return {
        **{name: value for name, value in set_values.items() if name not in (*IN_EXTRA_BODY, "seed")},
        "extra_body": extra,
    }


def _sentence(task: str, error: dict[str, Any]) -> str:
    if evalscope_runner.REFUSED in error["names"]:
        return runs_code(task)
    return explain(EVALSCOPE, task, error["names"], error["message"], at_server=OPENAI_ERROR in error["names"])


def runs_code(task: str) -> str:
    """The error for a benchmark that runs code written by the model. The error says how to allow the benchmark."""
    return (
        f"{task} is left out because it runs code that the model wrote: to allow this in a Docker container, set "
        "allow_code_execution = true under [evaluate.evalscope]; to allow it on this machine with your rights, also "
        'set sandbox = "none"'
    )


Means = dict[tuple[str, Any], float]  # for each (subset, question): the mean over all answers to the question


def parse(answer: dict[str, Any], task: str, repeats: int) -> list[dict[str, Any]]:
    """Convert evalscope's answer to rows. A row has the same keys as `Result`.

    A row holds the value of one metric, either for the whole benchmark or for one of its subsets. A benchmark with a
    single subset has no rows for subsets.

    evalscope reports no standard error, so this function computes one. Several answers to the same question are not
    independent. Therefore the function first computes the mean of these answers. The standard error is the standard
    deviation of these means, divided by the square root of the number of questions (Miller 2024, "Adding error bars
    to evals", arXiv 2411.00640, section 3.1).
    """
    results = []
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
        results.append({**common, "name": task, "value": finite(metric["score"]), **_spread(means, metric, repeats)})
        subsets = [s for c in metric["categories"] for s in c["subsets"] if not s.get("is_aggregate")]
        for subset in subsets if len(subsets) > 1 else ():
            own = {key: mean for key, mean in means.items() if key[0] == subset["name"]}
            row = {"name": f"{task}/{subset['name']}", "value": finite(subset["score"])}
            results.append({**common, **row, **_spread(own, subset, repeats)})
    return results


def _name(identity: dict[str, Any]) -> str:
    """The name of a metric, such as `accuracy` or `accuracy (pass_at_k, k=1)`."""
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
    """Returns the number of questions (`n`), the standard error, and the mean score of each question (`items`)."""
    if not means:
        return {"n": int(counted["num"]) // repeats, "stderr": None, "items": None}
    items = [means[key] for key in sorted(means, key=lambda key: (key[0], key[1]))]
    return {"n": len(items), "stderr": standard_error(items), "items": items}


def standard_error(items: list[float]) -> float | None:
    """The standard error of the mean of `items`. Returns None if there are fewer than two items."""
    count = len(items)
    if count < 2:
        return None
    mean = sum(items) / count
    return math.sqrt(sum((item - mean) ** 2 for item in items) / (count - 1) / count)


def _better(semantics: dict[str, Any]) -> bool | None:
    return {"higher_is_better": True, "lower_is_better": False}.get(str(semantics.get("direction")))
