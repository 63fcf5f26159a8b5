"""The program of the child, which is started by `python -m faq_tui.core.worker TASK CHANNEL_FD`.

The child reads its spec from stdin, as one line of JSON. Stdin stays open while the parent runs. If the parent ends
for any reason, stdin is closed, and then the child ends.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NoReturn

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.process import lower_priority
from faq_tui.core.base.steps import reported_to

STEP = "step"  # the kind of a message that reports a step, such as loading a model

Send = Callable[..., None]
Task = Callable[[dict[str, Any], Send, CancelToken], None]

TASKS = {
    "check_tokenizer": "faq_tui.core.models.tokenizer_task:run",
    "check_recipes": "faq_tui.core.quantizing.recipe_task:run",
    "generate": "faq_tui.core.regenerating.local_task:run",
    "likelihood": "faq_tui.core.judging.judges.likelihood:run_task",
    "judge_activations": "faq_tui.core.judging.judges.activation_task:run",
    "activations": "faq_tui.core.activations.task:run",
    "coverage": "faq_tui.core.assembly.coverage_task:run",
    "selection": "faq_tui.core.assembly.selection_task:run",
    "layer_error": "faq_tui.core.activations.layer_error_task:run",
    "quantize": "faq_tui.core.quantizing.task:run",
    "evaluate": "faq_tui.core.evaluation.task:run",
    "lm_eval": "faq_tui.core.benchmarking.lm_eval_task:run",
    "try": "faq_tui.core.trying.task:run",
}


# tasks that need only seconds of processor time, and whose results a person waits for
SHORT = {"check_tokenizer", "check_recipes"}


def follow_lifeline() -> None:
    """End this process as soon as stdin is closed.

    Stdin is a pipe from the parent. The pipe is closed when the parent ends.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def read_line(fd: int) -> str:
    """Read one line byte by byte, so that no byte after the line is read."""
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = os.read(fd, 1)
        if not chunk:
            break
        data += chunk
    return data.decode()


def main() -> None:
    task_name, channel_fd = sys.argv[1], int(sys.argv[2])
    if task_name not in SHORT:
        lower_priority()
    work(task_name, channel_fd)


def work(task_name: str, channel_fd: int) -> NoReturn:
    """Run the task with the spec on stdin, write its messages to the channel, and end this process."""
    channel = os.fdopen(channel_fd, "w", encoding="utf-8", buffering=1)
    lock = threading.Lock()

    def send(kind: str, **body: Any) -> None:
        line = json.dumps({"kind": kind, **body}) + "\n"
        with lock:
            channel.write(line)
            channel.flush()

    cancel = CancelToken()
    signal.signal(signal.SIGTERM, lambda *_: cancel.set())
    # A process that the task forks inherits this handler. It would then ignore SIGTERM, and `multiprocessing.Pool`,
    # which ends its processes with SIGTERM, would wait for them forever.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    line = read_line(0)
    if not line.endswith("\n"):
        os._exit(1)  # the parent has ended, or has started another child in place of this one
    spec = json.loads(line)
    follow_lifeline()
    try:
        module, function = TASKS[task_name].split(":")
        task: Task = getattr(importlib.import_module(module), function)
        with reported_to(lambda step: send(STEP, step=asdict(step))):
            task(spec, send, cancel)
        send("finished")
        code = 0
    except FaqError as error:
        send("error", message=str(error), exit_code=int(error.exit_code))
        code = int(error.exit_code)
    except MemoryError:
        send("error", message="", exit_code=1, reason="memory")
        code = 1
    except BaseException as error:  # noqa: BLE001  any error is sent to the parent, which reports it
        send("error", message=f"{type(error).__name__}: {error}", exit_code=1, reason=type(error).__name__)
        with suppress(OSError):  # the log may be on a full disk
            traceback.print_exc()
        code = 1
    # Exit at once, because a normal exit of the interpreter would fail: some threads of the quantizers still run.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)
