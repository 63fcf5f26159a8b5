"""Find the OpenAI-compatible URL of a model. The model is on a running server, or faq-tui starts a server for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.log_tail import first_error, log_tail
from faq_tui.core.base.text import sanitize
from faq_tui.core.benchmarking.guard import guarded
from faq_tui.core.endpoints import Client
from faq_tui.core.endpoints.client import NotAnApiError, StatusError
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.endpoints.model_list import models_of, window_of
from faq_tui.core.endpoints.probe import reachable
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.models.model_code import without_code
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.settings import Endpoint
from faq_tui.core.settings.evaluate import SERVE
from faq_tui.core.worker.parent import QUIET_THREADS, without_keys

ASK_TIMEOUT_S = 10.0
MOST_NAME = 200  # an error shows at most this many characters of a model name
HOST = "127.0.0.1"


@dataclass(frozen=True)
class ServedModel:
    """The URL and the model name that an OpenAI client needs."""

    base_url: str  # ends in /v1
    model: str
    window: int | None = None  # for prompt and answer together, in tokens; None if the server does not list it


@dataclass(frozen=True)
class Subject:
    """A model that is to be served."""

    name: str  # `unquantized`, or a folder under `models/`
    folder: Path
    target: TargetModel


@contextmanager
def served(context: Context, subject: Subject, base_url: str, api_key_env: str | None) -> Iterator[ServedModel]:
    """Find the model on the server at `base_url`.

    If `base_url` is "serve", the command in `[evaluate.serve]` starts a server, which runs until the end of the
    block.

    Raises EndpointError if the server does not answer or does not have the model, and FaqError if the command fails.
    """
    if base_url == SERVE:
        with (
            without_code(subject.folder, subject.target.trust_remote_code) as folder,
            _started(context, replace(subject, folder=folder)) as server,
        ):
            yield server
        return
    endpoint = reachable(context, Endpoint(base_url=base_url, model="", api_key_env=api_key_env))
    windows = listed(endpoint.base_url, api_key_env)
    accepted = _names_of(subject)
    match = next(
        (name for name in windows if name in accepted or name.rstrip("/").rpartition("/")[2] in accepted), None
    )
    if match is None:
        shown = ", ".join(name[:MOST_NAME] for name in list(windows)[:5])
        raise EndpointError(
            f"{endpoint.shown_url} does not serve {subject.name} (it serves {shown or 'nothing'}): "
            f'serve {subject.folder} under the name {subject.name}, or set base_url = "serve"'
        )
    yield ServedModel(endpoint.base_url, match, windows[match])


def _names_of(subject: Subject) -> set[str]:
    """The accepted names of the model in a server's list.

    If the server lists a path, it is enough that the last part of the path is an accepted name.
    """
    if subject.name != UNQUANTIZED:
        return {subject.name}
    return {UNQUANTIZED, subject.target.name, subject.target.name.rpartition("/")[2], subject.target.path}


def listed(base_url: str, api_key_env: str | None = None) -> dict[str, int | None]:
    """Map the name of each model that a server lists to its window in tokens. None if the list has no window.

    The request follows no redirect, because a redirect could send the key to another server.

    Raises EndpointError if there is no OpenAI-compatible server at `base_url`, and UsageError if the environment
    variable `api_key_env` is not set.
    """
    endpoint = Endpoint(base_url=base_url, model="", api_key_env=api_key_env)
    try:
        body = asyncio.run(_asked(endpoint))
        models = models_of(body)
        if models is None or body == []:  # a server that is not OpenAI-compatible may answer []
            raise NotAnApiError
        return {name: window_of(entry) for name, entry in models.items()}
    except StatusError as error:
        if error.status in (401, 403):
            advice = "check the key"
        elif 300 <= error.status < 400 and (fault := explain(error, endpoint)) is not None:
            raise EndpointError(fault.advice) from None
        else:
            advice = "check `base_url`; it must end in /v1"
        raise EndpointError(f"{endpoint.shown_url} answers with status {error.status}: {advice}") from None
    except OSError as error:
        fault = explain(error, endpoint)
        reason = fault.reason if fault is not None else error
        raise EndpointError(
            f"cannot reach {endpoint.shown_url} ({reason}): check `base_url`, and whether the server is running"
        ) from None
    except (NotAnApiError, ValueError):
        raise EndpointError(
            f"{endpoint.shown_url} is not an OpenAI-compatible server: check `base_url`, which must end in /v1"
        ) from None


async def _asked(endpoint: Endpoint) -> Any:
    async with Client(endpoint) as client, asyncio.timeout(ASK_TIMEOUT_S):
        return await client.get_json("/models")


def require_program(name: str, command: Sequence[str], folder: Path) -> None:
    """Raise FaqError if the program of `command`, which is to serve the model `name` in `folder`, does not exist."""
    program = command[0]
    # A path is relative to the folder in which the program will run, not to the folder of this process.
    found = shutil.which(os.path.normpath(folder / program) if os.sep in program else program)
    if found is None:
        raise FaqError(
            f"{name} cannot be served, because there is no program {sanitize(program)!r}: install it, or set "
            "`command` in [evaluate.serve] to the server that you have (benchmarks can also use the `base_url` of a "
            "running server)"
        )


@contextmanager
def _started(context: Context, subject: Subject) -> Iterator[ServedModel]:
    settings = context.run.settings.evaluate.serve
    port = _free_port(subject.name)
    name = subject.name if subject.name != UNQUANTIZED else subject.target.name.rpartition("/")[2]
    command = filled(settings.command, subject.folder, port, name)
    log = context.run.log(context.job)
    env = {**QUIET_THREADS, **without_keys(context.run.settings)}
    require_program(subject.name, command, log.parent)
    before = log.stat().st_size if log.exists() else 0
    with guarded(command, log, env, log.parent) as guard:
        url = f"http://{HOST}:{port}/v1"
        waited = 0.0
        while not (windows := _answers(url)):
            if guard.poll() is not None:
                raise FaqError(
                    f"{command[0]} ended before it served {subject.name}: see its output in {log}.{_why(log, before)}"
                )
            if waited > settings.ready_timeout_s:
                raise FaqError(f"{command[0]} did not serve {subject.name} within {waited:.0f} s: see the log {log}")
            _wait(context.cancel, 0.5)
            waited += 0.5
        found = name if name in windows else next(iter(windows))
        yield ServedModel(url, found, windows[found])


def _why(log: Path, start: int) -> str:
    """A sentence with the first error in the log after `start` bytes, or with the last line if there is no error."""
    if error := first_error(log, start):
        return f' Its first error is: "{error}"'
    return "".join(f' The last line is: "{line}"' for line in log_tail(log, 1, start))


def _answers(url: str) -> dict[str, int | None]:
    """The models that the server at `url` lists. The result is empty if the server does not answer yet."""
    try:
        return listed(url)
    except FaqError:
        return {}


def filled(command: Sequence[str], folder: Path, port: int, name: str) -> list[str]:
    """The command in `[evaluate.serve]` with the values of its placeholders."""
    values = {"{folder}": str(folder), "{port}": str(port), "{name}": name}
    parts = list(command)
    for placeholder, value in values.items():
        parts = [part.replace(placeholder, value) for part in parts]
    return parts


def _free_port(name: str) -> int:
    """A free port for the model `name`.

    If possible, the same name gets the same port each time, because evalscope resumes a run only at the same URL.
    """
    for port in (20000 + int(digest(name), 16) % 10000, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise FaqError("this machine has no free port for serving a model")


def _wait(cancel: CancelToken, seconds: float) -> None:
    cancel.wait(seconds)
    cancel.check()


def without_proxy() -> dict[str, str]:
    """Environment variables that let an external program contact servers on this machine without a proxy."""
    present = {name: value for name in ("NO_PROXY", "no_proxy") if (value := os.environ.get(name))}
    hosts = ",".join(dict.fromkeys([*",".join(present.values()).split(","), HOST, "localhost"])).strip(",")
    return {"NO_PROXY": hosts, "no_proxy": hosts}
