"""Start and stop the server of an artefact. The server continues when this process or its terminal ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import full_disk_is_clear, private_folder
from faq_tui.core.base.process import send_signal
from faq_tui.core.benchmarking.serving import filled, require_program
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.run.run import Run
from faq_tui.core.run.server_record import STARTING, ArtefactServer, job_of, read_server
from faq_tui.core.store.artefacts import Artefact
from faq_tui.core.worker.parent import QUIET_THREADS, without_keys

PATIENCE_S = 60.0  # a new server process must write its record within this time
SETTLE_S = 3.0  # a server that fails within this time after its record is reported as not started


def start_server(run: Run, artefact: Artefact) -> ArtefactServer:
    """Start the command in `[evaluate.serve]` for this artefact, and return once its process runs.

    The server answers requests later; then `read_server` returns its URL. Raises FaqError if the artefact is already
    served, if it has no folder, if the command's program does not exist, or if the server ends within `SETTLE_S`.
    The function takes a few seconds.
    """
    served = read_server(run.jobs, artefact.name)
    if served is not None and served.is_live:
        raise FaqError(f"{artefact.name} is already served{f' at {served.url}' if served.url else ''}: stop it first")
    if not is_whole(run.models / artefact.folder):
        raise FaqError(f"{artefact.name} has no complete folder: quantize it again")
    folder = run.jobs / job_of(artefact.name)
    command = filled(run.settings.evaluate.serve.command, run.models / artefact.folder, 0, artefact.name)
    require_program(artefact.name, command, folder)
    with full_disk_is_clear(run.folder):
        private_folder(folder)
        with (folder / "log.txt").open("wb") as log:
            child = subprocess.Popen(
                # -P: do not import a folder `torch/` of the run's folder instead of the library
                [sys.executable, "-P", "-m", "faq_tui.core.artefacts.server_child", str(run.folder), artefact.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal that closes sends no signal to the server
                cwd=run.folder,
                env={**os.environ, **QUIET_THREADS, **without_keys(run.settings)},
            )
    threading.Thread(target=child.wait, daemon=True, name=f"reap-{child.pid}").start()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ended = child.poll()
        server = read_server(run.jobs, artefact.name)
        if server is not None and server.pid == child.pid:
            return _settled(run, server)
        if ended is not None or time.monotonic() > deadline:
            child.kill()
            raise FaqError(f"the server of {artefact.name} did not start: read its output in {folder / 'log.txt'}")
        time.sleep(0.02)


def _settled(run: Run, server: ArtefactServer) -> ArtefactServer:
    """The server once it answers requests, or has run for `SETTLE_S`. Raises FaqError if it has failed by then."""
    deadline = time.monotonic() + SETTLE_S
    now: ArtefactServer | None = server
    while now is not None and now.state == STARTING and time.monotonic() < deadline:
        time.sleep(0.05)
        now = read_server(run.jobs, server.name)
    if now is None or not now.is_live:
        problem = now.problem if now is not None and now.problem else "it was stopped"
        raise FaqError(f"the server of {server.name} has already ended: {problem}")
    return now


def stop_server(server: ArtefactServer) -> bool:
    """Stop the server, and return at once. Returns False if the server has already ended.

    Raises FaqError if the server belongs to another user.
    """
    return send_signal(server.pid, server.began, signal.SIGTERM)
