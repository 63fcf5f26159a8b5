"""Run the embedded server as a child process. The server ends when a `with` block ends or when this process ends."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.files import private_folder
from faq_tui.core.embedded.cache import Say
from faq_tui.core.embedded.served_file import ensure_served
from faq_tui.core.worker.parent import QUIET_THREADS

READY_TIMEOUT_S = 120.0  # longest wait until the server is ready; on an idle machine, the start takes about 2 s
GRACE_S = 5.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class EmbeddedServer:
    base_url: str  # the URL for an OpenAI client: http://127.0.0.1:PORT/v1
    model: str


@contextmanager
def running_server(log: Path, say: Say = lambda _: None) -> Iterator[EmbeddedServer]:
    """Serve the embedded model on a free port of 127.0.0.1 until the block ends.

    The server's output is appended to `log`. If this process ends, even by SIGKILL, the server ends, too. Raises
    UsageError if xllamacpp is not installed, and FaqError if the server ends early or is not ready after
    `READY_TIMEOUT_S`. Raises the errors of `ensure_served`, too.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise UsageError("the embedded server needs the package xllamacpp: pip install 'faq-tui[embedded]'")
    ensure_served(say)
    private_folder(log.parent)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "faq_tui.core.embedded.server", "--lifeline"],
            stdin=subprocess.PIPE,  # nothing is written to this pipe; the server ends when the pipe is closed
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal must not reach the server
            env={**os.environ, **QUIET_THREADS},
        )
    try:
        yield _endpoint(child, log)
    finally:
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _endpoint(child: subprocess.Popen[bytes], log: Path) -> EmbeddedServer:
    """Read the URL and the model name from the line that the server prints when it is ready."""
    assert child.stdout is not None
    fd, deadline, line = child.stdout.fileno(), time.monotonic() + READY_TIMEOUT_S, b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise FaqError(f"the embedded server was not ready after {READY_TIMEOUT_S:.0f} s: read its log {log}")
        chunk = os.read(fd, 4096)
        if not chunk:
            status = child.wait()
            raise FaqError(f"the embedded server ended early (exit status {status}): read its log {log}")
        line += chunk
    return EmbeddedServer(**json.loads(line))
