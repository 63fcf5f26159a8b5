"""Read and write `jobs/serve-NAME/server.json`, which describes the server of one artefact."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from faq_tui.core.base.files import atomic_text, read_json
from faq_tui.core.base.process import process_identity

FILE = "server.json"
PREFIX = "serve-"
STARTING, SERVING, STOPPED, FAILED = "starting", "serving", "stopped", "failed"
LIVE = (STARTING, SERVING)


@dataclass(frozen=True)
class ArtefactServer:
    """A server of one artefact. `began` distinguishes the server's process from a later process with the same pid."""

    name: str  # the artefact's name
    folder: str  # the name of the artefact's folder under models/
    pid: int
    began: str
    started: float  # unix seconds
    state: str = STARTING  # starting, serving, stopped or failed
    url: str = ""  # ends in /v1; "" until the server answers
    model: str = ""  # the model's name on the server
    problem: str = ""  # one sentence; "" if the server has not failed

    @property
    def is_live(self) -> bool:
        return self.state in LIVE


def job_of(name: str) -> str:
    """The folder under jobs/ that holds the record and the log of an artefact's server."""
    return f"{PREFIX}{name}"


def new_record(name: str, folder: str) -> ArtefactServer:
    """The record of this process, which is starting the server."""
    pid = os.getpid()
    return ArtefactServer(name, folder, pid, process_identity(pid) or "", time.time())


def write_record(jobs: Path, server: ArtefactServer) -> None:
    with atomic_text(jobs / job_of(server.name) / FILE) as file:
        json.dump(asdict(server), file)


def read_server(jobs: Path, name: str) -> ArtefactServer | None:
    """The last server of an artefact; None if there was none.

    If the server's process was killed before it could record its end, the result has the state "failed".
    """
    try:
        body = read_json(jobs / job_of(name) / FILE)
        server = ArtefactServer(**body)
    except (OSError, ValueError, TypeError):
        return None
    if server.is_live and process_identity(server.pid) != server.began:
        return replace(server, state=FAILED, problem="its process was killed")
    return server


def live_servers(jobs: Path) -> list[ArtefactServer]:
    """The servers that now serve artefacts of this run, or are starting."""
    names = sorted(path.parent.name.removeprefix(PREFIX) for path in jobs.glob(f"{PREFIX}*/{FILE}"))
    servers = [read_server(jobs, name) for name in names]
    return [server for server in servers if server is not None and server.is_live]
