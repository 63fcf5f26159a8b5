"""The parent's side of the fork server: start the server once, and let it start worker children.

A new worker process needs about seven seconds to import torch and transformers. A forked child starts at once.
`fork_child` returns None if a fork is not safe, or if too little memory is free for the server.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.host_memory import free_host_bytes

# A process that has used CUDA or ROCm cannot be forked. Some libraries already use CUDA or ROCm when they are
# imported, because they look for GPUs.
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
# A fork server needs 450 MB. The server is started only if at least this number of bytes of memory is free.
ENOUGH_MEMORY = 4 << 30
POLL_S = 0.2  # seconds between two checks for a request to stop
LEAVING_S = 1.0  # a process that was asked to end is killed after this many seconds
MAX_ANSWER = 1 << 10  # maximum size of an answer in bytes


class ForkedChild:
    """A child of the fork server, with the members of `subprocess.Popen` that `run_worker` uses."""

    def __init__(self, pid: int, pidfd: int, pipe: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = pidfd
        self._pipe = pipe  # the fork server writes the exit status to this pipe

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """The child's exit status. None if the child still runs, even if the server has died."""
        if self.returncode is None and not select.select([self._pidfd], [], [], 0)[0]:
            return None
        return self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """The child's exit status. If the server has died, the child is killed, and the result is the status of a
        killed process.
        """
        if self.returncode is None:
            if not select.select([self._pipe], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("fork_server", timeout or 0.0)
            status = os.read(self._pipe, MAX_ANSWER)
            if not status:
                self.kill()
            self.returncode = int(status or -signal.SIGKILL)
            os.close(self._pipe)
            os.close(self._pidfd)
            _children.discard(self)
        return self.returncode


Child = subprocess.Popen[bytes] | ForkedChild


def wait_or_kill(child: Child, seconds: float) -> None:
    """Wait for the end of a child. After `seconds`, kill the child."""
    try:
        child.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class _Server:
    """A fork server. The children inherit the environment variables of the server."""

    def __init__(self, environment: dict[str, str], folder: Path, log: int) -> None:
        self.environment = environment
        self._ready = False
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "faq_tui.core.worker.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=folder,
                env=environment,
            )

    def fork(self, request: dict[str, str], fds: tuple[int, int, int], cancel: CancelToken) -> ForkedChild | None:
        """Start a child. Returns None if a stop was requested, or if the server has ended."""
        while not self._ready:
            answer, _ = self.receive(POLL_S)
            if answer == {} or cancel.is_set:
                return None
            self._ready = answer is not None
        pipe, theirs = os.pipe()
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], (*fds, theirs))
            answer, held = self.receive(None)
        except OSError:
            answer, held = {}, []
        finally:
            os.close(theirs)
        if not answer or not held:  # the server has died, or this process may not open another file
            os.close(pipe)
            return None
        return ForkedChild(answer["pid"], held[0], pipe)

    def receive(self, timeout: float | None) -> tuple[dict[str, Any] | None, list[int]]:
        """The next answer and its file descriptors.

        The answer is None if none came within `timeout` seconds, and {} if the server has ended.
        """
        if not select.select([self._socket], [], [], timeout)[0]:
            return None, []
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, MAX_ANSWER, 1)
        except ConnectionResetError:
            data, fds = b"", []
        return json.loads(data or b"{}"), list(fds)

    def end(self) -> None:
        self._socket.close()  # the server ends when this socket is closed
        wait_or_kill(self._process, LEAVING_S)


_lock = threading.Lock()  # this lock is held while the server starts, and while it forks
_children: set[ForkedChild] = set()  # the children that run
_server: _Server | None = None
_failed = False  # True if a fork server could not import the libraries, or has died


def fork_child(
    task: str,
    folder: Path,
    environment: dict[str, str],
    stdin: int,
    log: int,
    channel: int,
    cancel: CancelToken,
) -> ForkedChild | None:
    """Let the fork server start a worker child in the working directory `folder` with these file descriptors.

    If the running server has other environment variables, a new server replaces it. Returns None if the server cannot
    be used, if a child with other environment variables runs, or if a stop was requested.
    """
    global _server, _failed
    with _lock:
        if _failed or not safe():
            return None
        if _server is not None and _server.environment != environment:
            if _children:
                return None
            end_server()
        if _server is None and enough_memory():
            _server = _Server(environment, folder, log)
        if _server is None:
            return None
        child = _server.fork({"task": task, "folder": str(folder)}, (stdin, log, channel), cancel)
        if child is None:
            _failed = not cancel.is_set
            end_server()
        else:
            _children.add(child)
        return child


def start_server(folder: Path, environment: dict[str, str], log: int) -> None:
    """Start the fork server if there is none, so that it has its libraries before the first child is needed.

    If the server cannot be used, this function does nothing. The docstring of `fork_child` explains the arguments.
    """
    global _server
    if _failed or not safe() or not enough_memory() or not _lock.acquire(blocking=False):
        return
    try:
        if _server is None:
            _server = _Server(environment, folder, log)
    finally:
        _lock.release()


@atexit.register
def end_server() -> None:
    """End the fork server of this process, if it has one."""
    global _server
    if _server is not None:
        _server.end()
        _server = None


def safe() -> bool:
    """True if a process that has imported torch can be forked here."""
    return hasattr(os, "pidfd_open") and sys.platform == "linux" and not any(map(os.path.exists, GPU_DRIVERS))


def enough_memory() -> bool:
    """True if enough memory is free for the server."""
    return (free_host_bytes() or 0) >= ENOUGH_MEMORY
