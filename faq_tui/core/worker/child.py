"""The program of the child, which is started by `python -m faq_tui.core.worker TASK CHANNEL_FD [stays]`.

The child reads its spec from stdin, as one line of JSON. Stdin stays open while the parent runs. If the parent ends
for any reason, stdin is closed, and then the child ends.

With `stays`, a child that has used a GPU does not end after its task. Its last message then has the key `stays`, and
the child waits for a further line with the keys `task` and `spec`. Such a child begins at once: its libraries are
imported, the GPU is ready, and the GPU's kernels are loaded. During a task, SIGTERM asks the task to stop. SIGTERM
ends a child that waits.
"""

from __future__ import annotations

import gc
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
from queue import SimpleQueue
from typing import Any, NoReturn

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.host_memory import return_freed_memory
from faq_tui.core.base.process import lower_priority
from faq_tui.core.base.steps import reported_to
from faq_tui.core.extensions import METHODS
from faq_tui.core.worker.log_filter import filter_log

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


STAYS = "stays"
# If more memory of a GPU is in use after a task, the child does not stay. CUDA's libraries keep some memory for
# themselves.
LEFT_BYTES = 256 << 20
# Code in these packages changes settings of the process or functions of transformers, and so could change a later
# task. `transformers_modules` holds the code of model folders (trust_remote_code).
CHANGES_PROCESS = ("gptqmodel", "transformers_modules")


def follow_lifeline() -> SimpleQueue[str]:
    """End this process as soon as stdin is closed. The result gets each further line of stdin.

    Stdin is a pipe from the parent. The pipe is closed when the parent ends.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def watch() -> None:
        buffer = b""
        while chunk := os.read(0, 4096):
            *whole, buffer = (buffer + chunk).split(b"\n")
            for line in whole:
                lines.put(line.decode())
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
    return lines


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
    filter_log()
    work(task_name, channel_fd, STAYS in sys.argv[3:])


def work(task_name: str, channel_fd: int, stays: bool = False) -> NoReturn:
    """Run the task with the spec on stdin, write its messages to the channel, and end this process.

    With `stays`, further tasks may follow (see the top of this file).
    """
    channel = os.fdopen(channel_fd, "w", encoding="utf-8", buffering=1)
    lock = threading.Lock()

    def send(kind: str, **body: Any) -> None:
        line = json.dumps({"kind": kind, **body}) + "\n"
        with lock:
            channel.write(line)
            channel.flush()

    cancel = _set_by_sigterm()
    # A process that the task forks inherits this handler. It would then ignore SIGTERM, and `multiprocessing.Pool`,
    # which ends its processes with SIGTERM, would wait for them forever.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    line = read_line(0)
    if not line.endswith("\n"):
        os._exit(1)  # the parent has ended, or has started another child in place of this one
    spec, orders = json.loads(line), follow_lifeline()
    while (code := _run(task_name, spec, send, cancel)) == 0:
        _flush()  # if a child is killed while it waits, its buffered output is lost
        if not (stays and _may_stay()):
            send("finished")
            break
        send("finished", stays=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if cancel.is_set:
            break
        order = json.loads(orders.get())
        cancel = _set_by_sigterm()
        task_name, spec = order["task"], order["spec"]
    # Exit at once, because a normal exit of the interpreter would fail: some threads of the quantizers still run.
    _flush()
    os._exit(code)


def _set_by_sigterm() -> CancelToken:
    """A new token. SIGTERM sets this token, and no earlier one."""
    cancel = CancelToken()
    signal.signal(signal.SIGTERM, lambda *_: cancel.set())
    return cancel


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the log may be on a full disk
            stream.flush()


def _run(task_name: str, spec: dict[str, Any], send: Send, cancel: CancelToken) -> int:
    """Run one task. If it fails, send its error. Returns the exit code for this process."""
    try:
        module, function = TASKS[task_name].split(":")
        task: Task = getattr(importlib.import_module(module), function)
        with reported_to(lambda step: send(STEP, step=asdict(step))):
            task(spec, send, cancel)
    except FaqError as error:
        send("error", message=str(error), exit_code=int(error.exit_code))
        return int(error.exit_code)
    except MemoryError:
        send("error", message="", exit_code=1, reason="memory")
        return 1
    except BaseException as error:  # noqa: BLE001  any error is sent to the parent, which reports it
        send("error", message=f"{type(error).__name__}: {error}", exit_code=1, reason=type(error).__name__)
        with suppress(OSError):  # the log may be on a full disk
            traceback.print_exc()
        return 1
    return 0


def _may_stay() -> bool:
    try:
        return cleaned_up()
    except Exception:  # noqa: BLE001  after some errors of CUDA, every call fails; but the task has finished
        with suppress(OSError):
            traceback.print_exc()
        return False


def cleaned_up() -> bool:
    """Free the memory that the task held. Returns False if another task needs a new process.

    A process without a GPU does not stay, because its peak memory would include the peaks of earlier tasks; on Linux,
    the fork server starts its successor quickly. A process that has run code of `CHANGES_PROCESS`, or a method of
    another package, does not stay either.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    # transformers imports modules inside `transformers_modules`, but not this package itself.
    packages = {name.partition(".")[0] for name in sys.modules}
    if METHODS.outside_loaded() or not packages.isdisjoint(CHANGES_PROCESS):
        return False
    gpus = range(torch.cuda.device_count())
    if not any(torch.cuda.max_memory_allocated(gpu) for gpu in gpus):
        return False  # a library has started CUDA while it was imported, but the task used the processor
    gc.collect()
    return_freed_memory()
    torch.cuda.empty_cache()
    # Pinned memory of the host. The public name, torch.accelerator.empty_host_cache, is missing in torch before 2.14.
    if hasattr(torch._C, "_host_emptyCache"):
        torch._C._host_emptyCache()
    if any(torch.cuda.memory_allocated(gpu) > LEFT_BYTES for gpu in gpus):
        return False
    for gpu in gpus:
        torch.cuda.reset_peak_memory_stats(gpu)
    return True
