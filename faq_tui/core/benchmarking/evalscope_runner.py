"""Run one benchmark of evalscope against one server: `PYTHON evalscope_runner.py ORDER ANSWER`.

PYTHON is the interpreter of any environment that has evalscope. faq-tui need not be installed there, because this
file imports nothing from faq-tui. ORDER is a JSON file with the task configuration. ANSWER is the JSON file that this
program writes. ANSWER holds the report, the score of each answer, and the versions of the packages. If an error
occurs, ANSWER holds only the names of the error's classes and the text of the error.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

REFUSED = "RunsCodeError"


class RunsCodeError(Exception):
    """The benchmark runs code that the model wrote, and the settings do not allow this."""


def main(order_path: Path, answer_path: Path) -> None:
    order = json.loads(order_path.read_text(encoding="utf-8"))
    try:
        answer = _run(order)
    except BaseException as error:  # noqa: BLE001  the parent process must get every error
        traceback.print_exc()
        answer = {"error": {"names": _names(error), "message": str(error)}}
    half = answer_path.with_suffix(".half")
    half.write_text(json.dumps(answer), encoding="utf-8")
    half.replace(answer_path)


def _run(order: dict[str, Any]) -> dict[str, Any]:
    import evalscope
    from evalscope.api.registry import get_benchmark
    from evalscope.config import TaskConfig
    from evalscope.run import run_task

    name = order["benchmark"]
    key = os.environ.get(order["api_key_env"] or "", "").strip()
    config = TaskConfig(**order["config"], api_key=key or "EMPTY")
    benchmark = get_benchmark(name, config)
    if not order["allow_code_execution"] and _runs_code(benchmark):
        raise RunsCodeError(name)
    outputs = Path(order["config"]["work_dir"])
    if (outputs / "configs" / "task_config.yaml").is_file():
        _resume_or_start(run_task, TaskConfig, order, key)
    else:
        run_task(config)
    report = next(iter((outputs / "reports").rglob(f"{name}.json")))
    return {
        "evalscope_version": evalscope.__version__,
        "version": getattr(benchmark.benchmark_meta, "evaluation_version", None),
        "num_fewshot": getattr(benchmark, "few_shot_num", None),
        "report": json.loads(report.read_text(encoding="utf-8")),
        "scores": [score for path in sorted((outputs / "reviews").rglob("*.jsonl")) for score in _scores(path, name)],
    }


def _resume_or_start(run_task: Any, config_class: Any, order: dict[str, Any], key: str) -> None:
    """Resume a stopped run with its stored answers.

    If the requests have changed, delete these answers and start again.
    """
    outputs = order["config"]["work_dir"]
    try:
        run_task(config_class(**order["config"], api_key=key or "EMPTY", use_cache=outputs))
    except ValueError as error:
        if "identity" not in str(error):
            raise
        shutil.rmtree(outputs)
        run_task(config_class(**order["config"], api_key=key or "EMPTY"))


def _runs_code(benchmark: Any) -> bool:
    """True if the benchmark runs code that the model wrote, for example because the model acts as an agent."""
    kinds = {kind.__name__ for kind in type(benchmark).__mro__}
    meta = benchmark.benchmark_meta
    return bool(getattr(meta, "sandbox_config", None)) or bool(
        kinds & {"CodeExecutionSandboxMixin", "AgentLoopAdapter"}
    )


def _scores(path: Path, name: str) -> list[dict[str, Any]]:
    """For each answer, a dict with the subset, the number of the question, and the value of each metric."""
    subset = path.stem.removeprefix(f"{name}_")
    with path.open(encoding="utf-8") as lines:
        scores = [json.loads(line)["sample_score"] for line in lines if line.strip()]
    return [{"subset": subset, "question": s["group_id"], "values": s["score"]["value"]} for s in scores]


def _names(error: BaseException) -> list[str]:
    names: list[str] = []
    at: BaseException | None = error
    while at is not None and len(names) < 100:
        names += [kind.__name__ for kind in type(at).__mro__]
        at = at.__cause__ or at.__context__
    return names


if __name__ == "__main__":
    # Python searches the folder of this file first, and would import the module `evalscope` of faq-tui from it.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # end this process even if threads of evalscope still run
