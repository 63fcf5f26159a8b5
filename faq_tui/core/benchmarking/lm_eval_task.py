"""The worker's task "lm_eval": load one model after the other, and run tasks of lm_eval on it.

The worker sends messages of four kinds. "loading" means that the worker loads a model. "started" means that a task of
lm_eval starts. "done" means that a task is finished, and its results are in `rows`. "failed" means that a task
failed, and gives the reason in one sentence. The key `subject` of each message is the name of the model.
"""

from __future__ import annotations

import contextlib
import gc
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.benchmarking.faults import explain, names_of
from faq_tui.core.benchmarking.lm_eval import parse
from faq_tui.core.benchmarking.prompt_scores import NoPromptScoresError, checked_before_scoring
from faq_tui.core.models.devices import device_of, dtype_name
from faq_tui.core.models.hub import local_folder
from faq_tui.core.models.model_code import without_code
from faq_tui.core.settings.evaluate import LM_EVAL
from faq_tui.core.settings.secrets import basic_authorization

LONGEST_INPUT = 2048  # tokens of a request to a server, unless the settings or the server's window say otherwise
Send = Callable[..., None]
# Names of the methods of lm_eval that call the model.
CALLS = ("_model_call", "_model_generate", "model_call", "amodel_call")


def run(spec: dict[str, Any], send: Send, cancel: CancelToken) -> None:
    """Run the tasks that `spec` lists for each model.

    If a `folder` in `spec` is "", the model is the unquantized target. If `served` is None, this process loads the
    models.
    """
    cancel.check()
    own = spec["settings"]["include_path"]
    manager = _manager(own, {task for model in spec["models"] for task in model["tasks"]})
    for model in spec["models"]:
        cancel.check()
        subject = model["subject"]
        send("loading", subject=subject)
        try:
            lm = _served(spec) if spec["served"] else _loaded(spec, model["folder"])
        except ModuleNotFoundError as error:
            raise FaqError(f"lm_eval lacks a package ({error}): pip install 'faq-tui[lm-eval]'") from None
        for name in CALLS:
            if hasattr(lm, name):
                setattr(lm, name, stoppable(getattr(lm, name), cancel))
        # Paths of data files in the user's own tasks may be relative to this folder.
        with contextlib.chdir(own or Path.cwd()):
            for task in model["tasks"]:
                cancel.check()
                send("started", subject=subject, task=task)
                try:
                    send("done", subject=subject, task=task, rows=_evaluate(spec, lm, manager, task))
                except FaqError:
                    raise
                except Exception as error:  # noqa: BLE001  data, network or task code may fail; other tasks still run
                    _raise_if_memory(error)
                    traceback.print_exc()
                    send("failed", subject=subject, task=task, message=_sentence(task, error))
        del lm
        _free()


def _manager(own: str | None, tasks: set[str]) -> Any:
    """Load lm_eval's index of tasks.

    lm_eval has thousands of tasks, and it takes ten seconds to index them. If the user's own tasks suffice, only the
    user's folder is indexed.
    """
    from lm_eval.tasks import TaskManager

    if own is not None:
        small = TaskManager(include_path=own, include_defaults=False)
        if tasks <= set(small.all_tasks):
            return small
    return TaskManager(include_path=own)


def _evaluate(spec: dict[str, Any], lm: Any, manager: Any, task: str) -> list[dict[str, Any]]:
    import lm_eval

    settings = spec["settings"]
    results = lm_eval.simple_evaluate(
        lm,
        tasks=[task],
        task_manager=manager,
        limit=settings["limit"],
        num_fewshot=settings["num_fewshot"],
        apply_chat_template=settings["apply_chat_template"],
        bootstrap_iters=spec["resamples"],
        confirm_run_unsafe_code=settings["allow_code_execution"],
    )
    rows = parse(results)
    if not rows:
        raise ValueError("it returned no number")
    return rows


def _loaded(spec: dict[str, Any], path: str) -> Any:
    """Load the model with dense weights, as the evaluation does.

    Models of all quantization methods then run with the same GPU kernels.
    """
    import torch
    from lm_eval.models.huggingface import HFLM

    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.models.tokenizer import tokenizer_of

    target, settings = local_folder(spec["target"]), spec["settings"]
    folder = Path(path) if path else target
    if not folder.is_dir():
        raise FaqError(f"the model folder {folder} is missing: run quantize again")
    device = device_of(spec["device"])
    trust = spec["trust_remote_code"]
    dtype = getattr(torch, dtype_name(spec["dtype"], device, target, trust))
    return HFLM(
        pretrained=load_dense(folder, dtype, device, trust),
        tokenizer=tokenizer_of(target, trust),
        batch_size=settings["batch_size"],
        max_length=settings["max_length"],
    )


def _served(spec: dict[str, Any]) -> Any:
    """Use a model that a server serves at `/v1/completions`. Texts are tokenized here with the target's tokenizer."""
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    settings, served = spec["settings"], spec["served"]
    with without_code(local_folder(spec["target"]), spec["trust_remote_code"]) as target:
        lm = LocalCompletionsAPI(
            base_url=completions_url(served["base_url"]),
            model=served["model"],
            tokenizer=str(target),
            tokenizer_backend="huggingface",
            max_length=settings["max_length"] or min(LONGEST_INPUT, served["window"] or LONGEST_INPUT),
            batch_size=1,
            num_concurrent=settings["batch_size"],
            header=header_of(settings["api_key_env"], served["base_url"]),
            trust_remote_code=spec["trust_remote_code"],
        )
    checked_before_scoring(lm)
    return lm


def completions_url(base_url: str) -> str:
    """The URL for completions, without user and password, because lm_eval writes the URL into its messages."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path}/completions"))


def header_of(api_key_env: str | None, base_url: str = "") -> dict[str, str]:
    """The HTTP header with the API key, or with the user and the password of `base_url`.

    Without this header, lm_eval would send OPENAI_API_KEY to the server.
    """
    key = os.environ.get(api_key_env or "", "").strip()
    basic = basic_authorization(base_url)
    return {"Authorization": basic if basic and not key else f"Bearer {key or 'none'}"}


def _free() -> None:
    """Free the memory of the previous model, so that the next model fits."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def stoppable(call: Callable[..., Any], cancel: CancelToken) -> Callable[..., Any]:
    """Wrap `call` so that it raises Stopped if a stop was requested."""

    def checked(*arguments: Any, **options: Any) -> Any:
        cancel.check()
        return call(*arguments, **options)

    return checked


def _raise_if_memory(error: Exception) -> None:
    """Raise an error if memory ran out, because the next task with the same model would fail, too."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        raise MemoryError from error
    if type(error).__name__ == "OutOfMemoryError":
        raise error


def _sentence(task: str, error: Exception) -> str:
    if isinstance(error, NoPromptScoresError):
        return (
            f"{task} needs log-probabilities of the prompt's tokens, which the server does not give ({error}): serve "
            'the model with vLLM, or set mode = "process" under [evaluate.lm_eval]'
        )
    if "confirm_run_unsafe_code" in str(error):
        return (
            f"{task} runs code that the model wrote, on this machine and with your rights (lm_eval has no sandbox): "
            "to allow this, set allow_code_execution = true under [evaluate.lm_eval]"
        )
    return explain(LM_EVAL, task, names_of(error), str(error) or type(error).__name__, at_server=_at_server(error))


def _at_server(error: Exception) -> bool:
    """True if the error occurred while lm_eval called a server. Errors of a download have the same classes."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).name == "api_models.py" for frame in frames)
