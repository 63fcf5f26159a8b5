"""Ask a model through the server that the command in `[evaluate.serve]` starts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.benchmarking.serving import ServedModel, Subject, served
from faq_tui.core.endpoints import Client, Reply, stream_chat
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.models.hub import local_folder
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import Run
from faq_tui.core.run.server_record import read_server
from faq_tui.core.settings import Endpoint, Sampling
from faq_tui.core.settings.evaluate import SERVE
from faq_tui.core.trying.models import TriedModel
from faq_tui.core.trying.request import TryRequest

GAP = "\n\n"  # stands between reasoning and answer
Hear = Callable[[dict[str, Any]], None]


def ask_server(
    run: Run, target: TargetModel, model: TriedModel, request: TryRequest, hear: Hear, cancel: CancelToken, job: str
) -> None:
    """Start the model's server, ask it, and stop it. A server of the artefact that already runs is asked and keeps
    running.

    `hear` gets the messages of the task `try`, but without token ids.

    The server's output is appended to the log of `job`. Raises FaqError if the command or the request fails. Raises
    Stopped if the person cancels while the server starts. A later cancel ends the answer with the reason "stopped".
    """
    hear({"kind": "loading"})
    started = time.monotonic()
    context = Context(run, lambda _event: None, cancel, job)
    folder = model.folder if model.folder is not None else local_folder(target.path)
    running = read_server(run.jobs, model.name)
    if running is not None and running.is_live and running.url:
        starting: AbstractContextManager[ServedModel] = nullcontext(ServedModel(running.url, running.model))
    else:
        starting = served(context, Subject(model.name, Path(folder), target), SERVE, None)
    with starting as server:
        hear({"kind": "loaded", "seconds": round(time.monotonic() - started, 3), "memory_mb": None})
        hear({"kind": "answering", "opened": "", "prompt_tokens": None})
        asked = time.monotonic()
        try:
            reply = asyncio.run(_stream(server, request, hear, cancel))
        except _StoppedError:
            reply = None
    hear(
        {
            "kind": "answered",
            "rest": "",
            "finish_reason": "stopped" if reply is None else reply.finish_reason,
            "seconds": round(time.monotonic() - asked if reply is None else reply.seconds, 4),
            "tokens": None if reply is None else reply.completion_tokens,
            "memory_mb": None,
        }
    )


class _StoppedError(Exception):
    """The person has stopped the answer."""


async def _stream(server: ServedModel, request: TryRequest, hear: Hear, cancel: CancelToken) -> Reply:
    started, reasoned = time.monotonic(), False

    def on_delta(reasoning: str, answer: str) -> str | None:
        nonlocal reasoned
        texts = [reasoning] if reasoning else []
        if answer:
            texts.append(GAP + answer if reasoned or reasoning else answer)
        reasoned = (reasoned or bool(reasoning)) and not answer
        if texts:
            hear({"kind": "tokens", "ids": [], "texts": texts, "seconds": round(time.monotonic() - started, 4)})
        return None

    endpoint = Endpoint(base_url=server.base_url, model=server.model)
    sampling = Sampling(
        temperature=request.temperature, top_p=1.0, top_k=-1, max_tokens=request.max_tokens, seed=request.seed
    )
    async with Client(endpoint) as client:
        asking = asyncio.ensure_future(
            stream_chat(client, server.model, request.messages, sampling, request.seed, {}, on_delta)
        )
        try:
            while not asking.done():
                await asyncio.wait([asking], timeout=0.1)
                if cancel.is_set:
                    raise _StoppedError
            return await asking
        except (FaqError, _StoppedError):
            raise
        except Exception as error:
            fault = explain(error, endpoint)
            if fault is None:
                raise
            raise EndpointError(fault.advice) from None
        finally:
            asking.cancel()
            await asyncio.wait([asking])
