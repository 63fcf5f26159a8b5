"""The parent of the worker's task "lm_eval"."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faq_tui.core.benchmarking.plan import Request, own_path
from faq_tui.core.benchmarking.serving import Served, without_proxy
from faq_tui.core.errors import FaqError, Stopped, UsageError
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.stage import Context
from faq_tui.core.target import TargetModel
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.keys import without_keys

Rows = list[dict[str, Any]]


def refuse_unusable(folder: Path | None) -> None:
    """Raise FaqError if lm_eval cannot be used at all; `folder`: of one's own tasks."""
    if importlib.util.find_spec("lm_eval") is None:
        raise FaqError("lm_eval is not installed: pip install 'faq-tui[lm-eval]'")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"evaluate.lm_eval.include_path: there is no folder {folder}")


def run_lm_eval(
    context: Context,
    target: TargetModel,
    requests: Sequence[Request],
    served: Served | None,
    on_start: Callable[[Request], None],
    on_done: Callable[[Request, Rows], None],
    on_failed: Callable[[Request, str], None],
) -> None:
    """All `requests`, in one child unless a model brings it down: then another goes on with the next model.

    With `served` they are all of one model. Raises Stopped, and FaqError if no model could be reached at all.
    """
    left = {(request.subject, request.task): request for request in requests}
    at = ""
    settings = context.run.settings
    env = {**without_proxy(), **without_keys(settings, settings.evaluate.lm_eval.api_key_env if served else None)}

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
    context: Context, target: TargetModel, requests: Sequence[Request], served: Served | None
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
        "served": None if served is None else {"base_url": served.base_url, "model": served.model},
        "resamples": run.settings.evaluate.bootstrap,
        "settings": {**settings.model_dump(mode="json"), "include_path": str(own) if own else None},
    }
