"""Plan the benchmarks: find out which results are requested, stored and missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import subjects
from faq_tui.core.run.run import Run
from faq_tui.core.settings.evaluate import EVALSCOPE, LM_EVAL, SERVE, expand, split_subset
from faq_tui.core.store import benchmarks as rows

VERSION = 1  # increase this number if a change of the code changes results


@dataclass(frozen=True)
class BenchmarkRequest:
    """A request to run one task on one model."""

    subject: str  # `unquantized`, or a folder under `models/`
    engine: str
    task: str
    signature: str

    @property
    def key(self) -> rows.Key:
        return self.subject, self.engine, self.task


def wanted(run: Run) -> list[BenchmarkRequest]:
    """The requests to run each task in the settings on each model, sorted by model.

    The result is empty if the settings name no task.
    """
    lm_eval, evalscope = run.settings.evaluate.lm_eval, run.settings.evaluate.evalscope
    tasks = [(LM_EVAL, task, _lm_eval(run)) for task in expand(LM_EVAL, lm_eval.tasks)]
    tasks += [(EVALSCOPE, task, _evalscope(run, task)) for task in expand(EVALSCOPE, evalscope.tasks)]
    if not tasks:
        return []
    return [
        BenchmarkRequest(subject, engine, task, digest("benchmark", VERSION, identity, engine, task, options))
        for subject, identity in subjects(run).items()
        for engine, task, options in tasks
    ]


def missing(run: Run) -> list[BenchmarkRequest]:
    """The requests that have no stored result for the present settings, data and weights."""
    requests = wanted(run)
    stored = rows.signatures(run.store) if requests else {}
    return [request for request in requests if stored.get(request.key) != request.signature]


def current_results(run: Run) -> list[rows.Result]:
    """The stored results that fit the present settings, in the order of the settings."""
    order = {request.signature: rank for rank, request in enumerate(wanted(run))}
    results = [result for result in rows.all_results(run.store) if result.signature in order] if order else []
    return sorted(results, key=lambda result: order[result.signature])


def folder_of(run: Run, subject: str, target: Path) -> Path:
    """The folder with a model's weights. `target` is the folder of the unquantized target."""
    from faq_tui.core.evaluation.identity import UNQUANTIZED

    return target if subject == UNQUANTIZED else run.models / subject


def own_path(run: Run, path: str) -> Path:
    """Make a path in the settings absolute.

    Symbolic links are not resolved: the `python` of a virtual environment is a link to the Python outside this
    environment.
    """
    return run.absolute(path)


def _lm_eval(run: Run) -> Any:
    settings, target = run.settings.evaluate.lm_eval, run.settings.target
    measured = settings.model_dump(include={"mode", "limit", "num_fewshot", "max_length", "apply_chat_template"})
    if settings.base_url is None:
        computed: Any = [target.dtype, target.device]
    else:
        computed = _way(run, settings.base_url)
    own = _state(own_path(run, settings.include_path)) if settings.include_path else None
    return [measured, computed, own]


def _evalscope(run: Run, task: str) -> Any:
    settings = run.settings.evaluate.evalscope
    measured = settings.model_dump(include={"limit", "repeats", "sampling", "enable_thinking", "dataset_hub"})
    name, _ = split_subset(task)
    own = _state(own_path(run, settings.dataset_dir) / name) if settings.dataset_dir else None
    return [measured, _way(run, settings.base_url), own]


def _way(run: Run, base_url: str) -> Any:
    """The command that serves a model, or the URL of its server.

    The hash of a result contains this value, because different servers can give different results.
    """
    return run.settings.evaluate.serve.command if base_url == SERVE else base_url


def _state(folder: Path) -> Any:
    """A value that changes if a file in the folder changes.

    The value lists the path, size and modification time of each file.
    """
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted((str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in files)
