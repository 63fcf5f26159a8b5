"""The parent's side of a worker: start the child, read its messages, forward a stop, and explain its end."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError, Stopped, UsageError
from faq_tui.core.base.files import FULL, full_disk, private_folder
from faq_tui.core.base.steps import WorkStep, report
from faq_tui.core.settings.secrets import HUB_TOKENS, key_variables
from faq_tui.core.worker.child import SHORT, STAYS, STEP
from faq_tui.core.worker.forked import LEAVING_S, Child, fork_child, start_server, wait_or_kill
from faq_tui.core.worker.kept import Worker, end_kept, give, take

if TYPE_CHECKING:
    from faq_tui.core.run.context import Context
    from faq_tui.core.settings import Settings


class WorkerDiedError(FaqError):
    """Raised if a worker child died without a message about the reason."""


POLL_S = 0.2  # seconds between two checks for a request to stop and for the child's end
GRACE_S = 10.0  # seconds from a request to stop until the child is killed

# On a full disk, a Rust or C++ library does not raise OSError, but an error of another class. The error's message
# contains the system's error number, which this pattern finds.
FULL_DISK = re.compile(rf"\[?(?:os error|Errno) (?:{'|'.join(map(str, FULL))})\b|No space left on device")

# Torch raises OutOfMemoryError only if its GPU allocator fails. Torch raises other errors if cuBLAS or cuSOLVER gets
# no memory, or if the machine's main memory is full.
NO_MEMORY = re.compile(r"out of memory|ALLOC_FAILED|can't allocate memory|cusolverDnCreate")

# If a task runs out of memory, the error message contains this advice.
SMALLER = {
    "quantize": "fewer or shorter calibration rows, or a smaller model",
    "evaluate": "a smaller batch, window or model",
    "generate": "a smaller concurrency or a smaller model",
    "try": "fewer models at once, a shorter answer or a smaller model",
}

# A waiting OpenMP thread can keep a processor core busy. On a shared machine, busy waiting makes torch and llama.cpp
# about thirty times slower.
QUIET_THREADS = {"OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
# faq-tui shows its own progress. The bars of transformers would fill the log of the job.
NO_BARS = {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def run_worker(
    task: str,
    spec: dict[str, Any],
    on_message: Callable[[dict[str, Any]], None],
    cancel: CancelToken,
    log: Path,
    env: dict[str, str] | None = None,
    on_step: Callable[[WorkStep], None] = report,
    keep: bool = False,
) -> None:
    """Run `task`, a name in `child.TASKS`, until the task finishes.

    `spec` has the inputs of the task, as values that JSON can hold. `on_step` gets the reports on steps, and
    `on_message` gets all other messages except the last one. This function calls both callbacks on the calling
    thread, in the order of the messages. The child's stdout and stderr are appended to `log`.

    With `keep`, a child that uses a GPU waits for the next call with `keep`, the same `log` and the same environment
    variables. A call that starts a child ends all waiting children first, except for the tasks in `SHORT`, which use
    no GPU. `end_kept` ends them, too. If a waiting child dies before it sends a message about the task, a new child
    begins the task again.

    Raises `Stopped` after a cancel. If the child raised a `FaqError`, this function raises it again. If the child
    died, this function raises a `WorkerDiedError` that says how the child died.
    """
    private_folder(log.parent)
    environment = _environment(env)
    end = None
    if keep and (waiting := take(environment, log)) is not None:
        end = _follow(waiting, {"task": task, "spec": spec}, on_message, on_step, cancel)
    # A waiting child may have been killed, for example because memory was full. No message of this task has arrived,
    # so the task can begin again.
    if end is None or (end.is_silent and not cancel.is_set):
        if task not in SHORT:
            end_kept()
        started = Worker(environment, log, *_start(task, log, environment, cancel, keep))
        end = _follow(started, spec, on_message, on_step, cancel)
    if end.code is not None:
        _raise_if_failed(task, spec, end.last, end.code, cancel, log)


def run_for_job(
    context: Context, task: str, spec: dict[str, Any], on_message: Callable[[dict[str, Any]], None]
) -> None:
    """Run `task` as a part of a job: with the job's log and request to stop, and without API keys.

    A child that uses a GPU waits for the next task of the job. The docstring of `run_worker` explains the other
    arguments and the errors.
    """
    run = context.run
    run_worker(task, spec, on_message, context.cancel, run.log(context.job), without_keys(run.settings), keep=True)


@dataclass(frozen=True)
class _End:
    """The end of a task: its last message, and the exit status of the child; None if the child waits for a task.

    `is_silent` is true if the child died before it sent a message.
    """

    last: dict[str, Any]
    code: int | None
    is_silent: bool


def _follow(
    worker: Worker,
    order: dict[str, Any],
    on_message: Callable[[dict[str, Any]], None],
    on_step: Callable[[WorkStep], None],
    cancel: CancelToken,
) -> _End:
    """Send `order` to the child, pass its messages on, and keep or end the child."""
    child, last, heard = worker.child, dict[str, Any](), False
    try:
        worker.lifeline.write(json.dumps(order).encode() + b"\n")
        worker.lifeline.flush()
        for message in _messages(worker.read_fd, child, cancel):
            heard = True
            if message["kind"] in ("finished", "error"):
                last = message
                if last.get(STAYS):
                    break
            elif message["kind"] == STEP:
                on_step(WorkStep(**message["step"]))
            else:
                on_message(message)
    except BrokenPipeError:
        pass  # the child has already died; `_raise_if_failed` raises the error
    finally:
        if not last.get(STAYS):
            os.close(worker.read_fd)
            if not last:
                wait_or_kill(child, LEAVING_S)
            child.wait()
            with suppress(BrokenPipeError):  # `close` writes the rest of the order, and fails if the child is dead
                worker.lifeline.close()
    if last.get(STAYS):
        give(worker)
        if cancel.is_set:
            end_kept()  # the request to stop came too late for this task, but it may have reached the child
        return _End(last, None, is_silent=False)
    return _End(last, child.wait(), not heard)


def prepare_worker(log: Path, env: dict[str, str] | None = None) -> None:
    """Import the libraries of a worker now, so that the first `run_worker` with this `env` starts at once.

    The imports take several seconds, and run in the background.
    """
    private_folder(log.parent)
    with log.open("ab") as output:
        start_server(log.parent, _environment(env), output.fileno())


def _environment(env: dict[str, str] | None) -> dict[str, str]:
    """The environment variables of a child that gets the further variables `env`."""
    return {**NO_BARS, **os.environ, **QUIET_THREADS, **(env or {})}


def _start(
    task: str, log: Path, environment: dict[str, str], cancel: CancelToken, keep: bool
) -> tuple[Child, int, BinaryIO]:
    """Start the child. If possible, the child is forked, because a fork is faster. A forked child does not stay.

    Returns the child, the channel to read from, and the child's stdin to write to.
    """
    folder = log.parent  # gptqmodel writes a logs/ folder into the working directory
    with log.open("ab") as output:

        def fork(stdin: int, channel: int) -> Child | None:
            return fork_child(task, folder, environment, stdin, output.fileno(), channel, cancel)

        def start(stdin: int, channel: int) -> Child:
            return subprocess.Popen(
                [sys.executable, "-m", "faq_tui.core.worker", task, str(channel), *([STAYS] if keep else [])],
                stdin=stdin,
                stdout=output,
                stderr=output,
                pass_fds=(channel,),
                start_new_session=True,  # the child gets no Ctrl-C from the terminal; the parent handles Ctrl-C
                cwd=folder,
                env=environment,
            )

        # A short task is not forked, because it needs none of the libraries that the fork server imports.
        if task not in SHORT and (forked := _with_pipes(fork)):
            return forked
        cancel.check()
        started = _with_pipes(start)
        assert started is not None
        return started


def _with_pipes(start: Callable[[int, int], Child | None]) -> tuple[Child, int, BinaryIO] | None:
    """Call `start` with the child's ends of two new pipes: its stdin and its channel. None if `start` returns None.

    If the fork server dies while it forks, `start` returns None although the child may run. So the next attempt gets
    other pipes. Otherwise, both children would read parts of the spec from the same pipe. When this function closes
    the pipes of the failed attempt, its child ends.
    """
    read_fd, channel = os.pipe()
    stdin, lifeline = os.pipe()
    child = None
    try:
        child = start(stdin, channel)
    finally:
        os.close(channel)
        os.close(stdin)
        if child is None:
            os.close(read_fd)
            os.close(lifeline)
    return None if child is None else (child, read_fd, os.fdopen(lifeline, "wb"))


def _messages(fd: int, child: Child, cancel: CancelToken) -> Any:
    """Yield messages until the channel closes, or until the child has ended and its last message is read.

    If the child has started processes of its own, they may keep the channel open after the child's death.

    After a cancel, send SIGTERM to the child, and send SIGKILL if it still runs after `GRACE_S` seconds.
    """
    buffer = b""
    deadline: float | None = None
    has_ended = False
    while True:
        ready, _, _ = select.select([fd], [], [], 0 if has_ended else POLL_S)
        if cancel.is_set:
            now = time.monotonic()
            if deadline is None:
                deadline = now + GRACE_S
                child.send_signal(signal.SIGTERM)
            elif now > deadline:
                child.kill()
        if not ready:
            if has_ended:
                return
            has_ended = child.poll() is not None
            continue
        chunk = os.read(fd, 1 << 16)
        if not chunk:
            return
        *lines, buffer = (buffer + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines)


def _raise_if_failed(
    task: str, spec: dict[str, Any], last: dict[str, Any], code: int, cancel: CancelToken, log: Path
) -> None:
    if last.get("kind") == "finished":
        return
    if cancel.is_set:
        cancel.check()
    if last.get("kind") == "error" and last.get("reason") in (None, ""):
        kinds = {ExitCode.USAGE: UsageError, ExitCode.STOPPED: Stopped}
        raise kinds.get(ExitCode(last["exit_code"]), FaqError)(last["message"])
    where = f"see the output in {log}"
    if last.get("reason") in ("OutOfMemoryError", "memory") or NO_MEMORY.search(last.get("message", "")):
        raise FaqError(f"{task} ran out of memory: use {SMALLER.get(task, 'a smaller model')}; {where}")
    if FULL_DISK.search(last.get("message", "")):
        raise full_disk(Path(spec.get("out", log.parent)))
    if last:
        raise FaqError(f"{task} failed with {last['message']}; {where}")
    if code == -signal.SIGKILL:
        raise WorkerDiedError(f"{task} was killed by the system, probably because memory was full; {where}")
    raise WorkerDiedError(f"{task} ended unexpectedly (exit status {code}); {where}")


def without_keys(settings: Settings, needed: str | None = None) -> dict[str, str]:
    """Environment variables for a worker that must not see API keys.

    The result sets each variable that the settings name for a key to "", except the variable `needed` and the tokens
    of the hub.
    """
    return dict.fromkeys(key_variables(settings) - {*HUB_TOKENS, needed}, "")
