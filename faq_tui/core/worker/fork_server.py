"""A process that imports torch and transformers once and then forks worker children.

The children need not import the libraries again.

The process is started by `python -m faq_tui.core.worker.fork_server SOCKET_FD`. After the imports it sends `ready`.
Each request then contains a task's name, a working directory and four file descriptors: the child's stdin, the log,
the channel for messages, and a pipe. The server answers with the child's pid and a pidfd. When the child has ended,
the server writes the child's exit status to the pipe. Several children can run at the same time. The server ends when
the parent closes the socket or dies.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from faq_tui.core.base.process import lower_priority, lower_session_priority
from faq_tui.core.worker import child
from faq_tui.core.worker.log_filter import filter_log

LIBRARIES = (
    "torch",
    "safetensors.torch",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
)
POLL_S = 0.2  # seconds between two checks of the socket during the imports
LEAVING_S = 1.0  # maximum time to wait for the end of threads, in seconds
MAX_REQUEST = 1 << 16  # maximum size of a request in bytes


def main() -> None:
    lower_priority()
    filter_log()
    server = socket.socket(fileno=int(sys.argv[1]))
    with _ends_with(server):
        import_libraries()
    if not _has_one_thread():
        # A forked child gets only the thread that forks. If another thread holds a lock now, the child can never get
        # this lock.
        return
    gc.collect()
    # Without `freeze`, a child's garbage collection would write to the shared memory pages, and Linux would copy
    # these pages.
    gc.freeze()
    server.send(json.dumps({"ready": True}).encode())
    serve(server)


def _has_one_thread() -> bool:
    deadline = time.monotonic() + LEAVING_S  # Linux may still list a thread shortly after its end
    while len(list(Path("/proc/self/task").iterdir())) > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def import_libraries() -> None:
    """Import libraries that are slow to import and safe to fork. gptqmodel is not safe, because it starts threads."""
    # OpenBLAS starts its threads when it is loaded. Tasks compute with torch, so numpy and scipy need no threads.
    unset = "OPENBLAS_NUM_THREADS" not in os.environ
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        for name in LIBRARIES:
            importlib.import_module(name)
    finally:
        if unset:
            del os.environ["OPENBLAS_NUM_THREADS"]


@contextmanager
def _ends_with(server: socket.socket) -> Iterator[None]:
    """End this process if the parent ends while the `with` block runs.

    A thread watches the parent until the block ends.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if select.select([server], [], [], POLL_S)[0]:
                # The parent sends nothing before it gets `ready`, so the socket is readable only if the parent has
                # closed it.
                os._exit(1)

    thread = threading.Thread(target=watch, daemon=True, name="lifeline")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def serve(server: socket.socket) -> None:
    """Start children and report their ends, until the parent has ended."""
    children: dict[int, tuple[int, int]] = {}  # maps the pidfd of each child to its pid and the pipe for its status
    while True:
        watched: list[Any] = [server, *children]
        for ready in select.select(watched, [], [])[0]:
            if ready in children:
                _report_end(ready, *children.pop(ready))
            elif not _start_child(server, children):
                return


def _report_end(pidfd: int, pid: int, pipe: int) -> None:
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # the parent has ended
        os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
    os.close(pipe)
    os.close(pidfd)


def _start_child(server: socket.socket, children: dict[int, tuple[int, int]]) -> bool:
    """Start one child. Returns False if the parent has ended."""
    try:
        request, fds, _, _ = socket.recv_fds(server, MAX_REQUEST, 4)
        if not request:
            return False
        *its, pipe = fds
        pid = os.fork()
        if pid == 0:
            server.close()
            # Only the server holds the pipes, so the parent notices when the server dies.
            for fd in (pipe, *children, *(other for _, other in children.values())):
                os.close(fd)
            _become_worker(json.loads(request), *its)
        pidfd = os.pidfd_open(pid)
        children[pidfd] = pid, pipe
        for fd in its:
            os.close(fd)
        socket.send_fds(server, [json.dumps({"pid": pid}).encode()], [pidfd])
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _become_worker(request: dict[str, str], stdin: int, log: int, channel: int) -> NoReturn:
    try:
        os.setsid()
        lower_session_priority()
        for source, target in ((stdin, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(stdin)
        os.close(log)
        os.chdir(request["folder"])
        sys.argv = ["faq_tui.core.worker.child", request["task"], str(channel)]
        child.work(request["task"], channel)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
