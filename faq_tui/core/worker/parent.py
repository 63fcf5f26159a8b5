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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError, Stopped, UsageError
from faq_tui.core.base.files import FULL, full_disk, private_folder
from faq_tui.core.base.steps import WorkStep, report
from faq_tui.core.settings.secrets import HUB_TOKENS, key_variables
from faq_tui.core.worker.child import SHORT, STEP
from faq_tui.core.worker.forked import ForkedChild, fork_child, start_server

if TYPE_CHECKING:
    from faq_tui.core.settings import Settings

Child = subprocess.Popen[bytes] | ForkedChild

GRACE_S = 10.0  # seconds from a request to stop until the child is killed
LEAVING_S = 1.0  # seconds from the end of the messages until the child is killed

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


def run_worker(
    task: str,
    spec: dict[str, Any],
    on_message: Callable[[dict[str, Any]], None],
    cancel: CancelToken,
    log: Path,
    env: dict[str, str] | None = None,
    on_step: Callable[[WorkStep], None] = report,
) -> None:
    """Run `task`, a name in `child.TASKS`, until the task finishes.

    `spec` has the inputs of the task, as values that JSON can hold. `on_step` gets the reports on steps, and
    `on_message` gets all other messages except the last one. This function calls both callbacks on the calling
    thread, in the order of the messages. The child's stdout and stderr are appended to `log`.

    Raises `Stopped` after a cancel. If the child raised a `FaqError`, this function raises it again. If the child
    died, this function raises a `FaqError` that says how the child died.
    """
    private_folder(log.parent)
    read_fd, write_fd = os.pipe()
    stdin_fd, lifeline_fd = os.pipe()
    lifeline = os.fdopen(lifeline_fd, "wb")
    try:
        child = _start(task, log, {**os.environ, **QUIET_THREADS, **(env or {})}, stdin_fd, write_fd, cancel)
    except BaseException:
        os.close(read_fd)
        lifeline.close()
        raise
    finally:
        os.close(write_fd)
        os.close(stdin_fd)
    last: dict[str, Any] = {}
    try:
        lifeline.write(json.dumps(spec).encode() + b"\n")
        lifeline.flush()
        for message in _messages(read_fd, child, cancel):
            if message["kind"] in ("finished", "error"):
                last = message
            elif message["kind"] == STEP:
                on_step(WorkStep(**message["step"]))
            else:
                on_message(message)
    except BrokenPipeError:
        pass  # the child has already died; `_raise_if_failed` raises the error
    finally:
        os.close(read_fd)
        if not last:
            _end(child)
        code = child.wait()
        with suppress(BrokenPipeError):  # `close` writes the rest of the spec, and fails if the child is dead
            lifeline.close()
    _raise_if_failed(task, spec, last, code, cancel, log)


def prepare_worker(log: Path, env: dict[str, str] | None = None) -> None:
    """Import the libraries of a worker now, so that the first `run_worker` with this `env` starts at once.

    The imports take several seconds, and run in the background.
    """
    private_folder(log.parent)
    with log.open("ab") as output:
        start_server(log.parent, {**os.environ, **QUIET_THREADS, **(env or {})}, output.fileno())


def _start(task: str, log: Path, environment: dict[str, str], stdin: int, channel: int, cancel: CancelToken) -> Child:
    """Start the child with these file descriptors. If possible, the child is forked, because a fork is faster."""
    folder = log.parent  # gptqmodel writes a logs/ folder into the working directory
    with log.open("ab") as output:
        # A short task is not forked, because it needs none of the libraries that the fork server imports.
        fds = (stdin, output.fileno(), channel)
        forked = None if task in SHORT else fork_child(task, folder, environment, *fds, cancel)
        if forked is not None:
            return forked
        cancel.check()
        return subprocess.Popen(
            [sys.executable, "-m", "faq_tui.core.worker.child", task, str(channel)],
            stdin=stdin,
            stdout=output,
            stderr=output,
            pass_fds=(channel,),
            start_new_session=True,  # the child gets no Ctrl-C from the terminal; the parent handles Ctrl-C
            cwd=folder,
            env=environment,
        )


def _end(child: Child) -> None:
    """Wait up to `LEAVING_S` seconds for the child to end, and then kill it if it still runs."""
    try:
        child.wait(LEAVING_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _messages(fd: int, child: Child, cancel: CancelToken) -> Any:
    """Yield messages until the channel closes.

    After a cancel, send SIGTERM to the child, and send SIGKILL if it still runs after `GRACE_S` seconds.
    """
    buffer = b""
    deadline: float | None = None
    while True:
        ready, _, _ = select.select([fd], [], [], 0.2)
        if cancel.is_set:
            now = time.monotonic()
            if deadline is None:
                deadline = now + GRACE_S
                child.send_signal(signal.SIGTERM)
            elif now > deadline:
                child.kill()
        if not ready:
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
        raise FaqError(f"{task} was killed by the system, probably because memory was full; {where}")
    raise FaqError(f"{task} ended unexpectedly (exit status {code}); {where}")


def without_keys(settings: Settings, needed: str | None = None) -> dict[str, str]:
    """Environment variables for a worker that must not see API keys.

    The result sets each variable that the settings name for a key to "", except the variable `needed` and the tokens
    of the hub.
    """
    return dict.fromkeys(key_variables(settings) - {*HUB_TOKENS, needed}, "")
