"""Measure the public benchmarks, the last part of the stage `evaluate`.

Each result is stored as soon as it is measured. If a task cannot run (its data, program or server is missing), a
warning is stored. `status` and the report show this warning. All other tasks still run. The next run tries the failed
task again.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.benchmarking.evalscope import python_of, run_evalscope, runs_code
from faq_tui.core.benchmarking.lm_eval import refuse_unusable, run_lm_eval
from faq_tui.core.benchmarking.plan import BenchmarkRequest, folder_of, missing, own_path, wanted
from faq_tui.core.benchmarking.serving import ServedModel, Subject, served
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.models.hub import local_folder
from faq_tui.core.models.target import TargetModel, find_target
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import MeasurementReady, Note, StageProgress, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.settings.evaluate import EVALSCOPE, LM_EVAL, RUNS_CODE, split_subset
from faq_tui.core.store import benchmarks as rows

STAGE = "evaluate"


def intact(run: Run) -> bool:
    """True if every benchmark of the settings has a result."""
    return not missing(run)


def execute(context: Context, target: TargetModel) -> str:
    """Run the tasks that have no result yet.

    Returns the end of the stage's summary; "" if there are no benchmarks.
    """
    todo, total = missing(context.run), len(wanted(context.run))
    if not total:
        return ""
    if todo:
        context.emit(StageStarted(STAGE, len(todo), "benchmark tasks", total - len(todo)))
        _Benchmarks(context, target, len(todo)).run(todo)
    left = len(missing(context.run))
    return f"; {total - left} of {total} benchmark tasks are done{'; the warnings name the others' if left else ''}"


def measure_one(context: Context, subject: str) -> str:
    """Run the missing tasks of one model. Returns a summary. Raises FaqError if a task has no result then."""
    run = context.run
    target = find_target(run, lambda text: context.emit(Note(text)))
    total = sum(request.subject == subject for request in wanted(run))
    todo = [request for request in missing(run) if request.subject == subject]
    if todo:
        context.emit(StageStarted(STAGE, len(todo), "benchmark tasks", total - len(todo)))
        _Benchmarks(context, target, len(todo)).run(todo)
    left = [request.task for request in missing(run) if request.subject == subject]
    if left:
        raise FaqError(f"{len(left)} of {total} benchmark tasks have no result: {', '.join(left)}: read the warnings")
    return f"{total} benchmark tasks"


class _Benchmarks:
    def __init__(self, context: Context, target: TargetModel, total: int) -> None:
        self.context = context
        self.target = target
        self.total = total
        self.waiting: dict[rows.Key, BenchmarkRequest] = {}
        self.said: set[str] = set()
        self.python = ""  # the interpreter that has evalscope

    def run(self, todo: list[BenchmarkRequest]) -> None:
        self.waiting = {request.key: request for request in todo}
        in_process = [request for request in todo if self._server_of(request) is None]
        self._try(self._in_process, in_process)
        on_servers = [request for request in todo if self._server_of(request) is not None]
        # lm_eval and evalscope use a model one after the other, so that the model is served only once for both.
        for _, group in groupby(on_servers, key=lambda request: (request.subject, self._server_of(request))):
            self._try(self._served, list(group))

    def _server_of(self, request: BenchmarkRequest) -> tuple[str, str | None] | None:
        """The base_url and the name of the key's variable. None if the worker child loads the model."""
        evaluate = self.context.run.settings.evaluate
        settings = evaluate.lm_eval if request.engine == LM_EVAL else evaluate.evalscope
        return None if settings.base_url is None else (settings.base_url, settings.api_key_env)

    def _try(self, work: Callable[[list[BenchmarkRequest]], None], requests: list[BenchmarkRequest]) -> None:
        """Run `work`. If `work` raises an error, store the error for every request without a result."""
        try:
            if requests:
                work(requests)
        except Stopped:
            raise
        except FaqError as error:
            for request in requests:
                if request.key in self.waiting:
                    self._failed(request, str(error))

    def _in_process(self, requests: list[BenchmarkRequest]) -> None:
        self._check_lm_eval(requests)
        self._lm_eval(requests, None)

    def _served(self, requests: list[BenchmarkRequest]) -> None:
        """Run the tasks of one model on a server. Missing programs and folders are found before the server starts."""
        lm_eval = [request for request in requests if request.engine == LM_EVAL]
        evalscope = [request for request in requests if request.engine == EVALSCOPE]
        self._try(self._check_lm_eval, lm_eval)
        self._try(self._check_evalscope, evalscope)
        server = self._server_of(requests[0])
        if not self._left(requests) or server is None:
            return
        with served(self.context, self._subject(requests[0]), *server) as where:
            self._try(lambda left: self._lm_eval(left, where), self._left(lm_eval))
            for request in self._left(evalscope):
                self._try(lambda one: self._evalscope(one[0], where), [request])

    def _check_lm_eval(self, _requests: list[BenchmarkRequest]) -> None:
        settings = self.context.run.settings.evaluate.lm_eval
        refuse_unusable(own_path(self.context.run, settings.include_path) if settings.include_path else None)

    def _check_evalscope(self, requests: list[BenchmarkRequest]) -> None:
        allowed = self.context.run.settings.evaluate.evalscope.allow_code_execution
        for request in requests:
            if split_subset(request.task)[0] in RUNS_CODE and not allowed:
                self._failed(request, runs_code(request.task))
        if self._left(requests):
            self.python = python_of(self.context.run)

    def _lm_eval(self, requests: list[BenchmarkRequest], where: ServedModel | None) -> None:
        run_lm_eval(self.context, self.target, requests, where, self._started, self._finished, self._failed)

    def _evalscope(self, request: BenchmarkRequest, where: ServedModel) -> None:
        self._started(request)
        self._finished(request, run_evalscope(self.context, self.python, request, where))

    def _left(self, requests: list[BenchmarkRequest]) -> list[BenchmarkRequest]:
        return [request for request in requests if request.key in self.waiting]

    def _subject(self, request: BenchmarkRequest) -> Subject:
        folder = Path(self.target.path)
        if request.subject == UNQUANTIZED:
            folder = local_folder(self.target.path)
        return Subject(request.subject, folder_of(self.context.run, request.subject, folder), self.target)

    def _started(self, request: BenchmarkRequest) -> None:
        detail = f"{request.task} on {request.subject} ({request.engine})"
        self.context.emit(StageProgress(STAGE, self.total - len(self.waiting), self.total, detail))

    def _finished(self, request: BenchmarkRequest, measured: list[dict[str, Any]]) -> None:
        subject, engine, task = request.key
        results = [
            rows.Result(
                subject=subject,
                engine=engine,
                task=task,
                signature=request.signature,
                **{**row, "items": None if row["items"] is None else tuple(row["items"])},
            )
            for row in measured
        ]
        rows.replace_results(self.context.run.store, results)
        for result in results:
            if result.name == task and result.value is not None:
                self.context.emit(MeasurementReady(subject, f"{engine} {task}", result.metric, result.value))
        self._tick(request)

    def _failed(self, request: BenchmarkRequest, message: str) -> None:
        rows.set_problem(self.context.run.store, request.key, message)
        if message not in self.said:  # emit only one warning about a missing package, not one for each task and model
            self.said.add(message)
            self.context.emit(Note(f"{request.subject}: {message}", "warning"))
        self._tick(request)

    def _tick(self, request: BenchmarkRequest) -> None:
        self.waiting.pop(request.key, None)
        self.context.emit(StageProgress(STAGE, self.total - len(self.waiting), self.total))
