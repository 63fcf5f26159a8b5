"""Step 3: the model that regenerates the answers, and the server that has it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from faq_tui.core.base.errors import EndpointError, ExitCode, FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.doctor import family_checks
from faq_tui.core.endpoints import Client, stream_chat
from faq_tui.core.endpoints.chat import Reply
from faq_tui.core.endpoints.client import NotAnApiError, StatusError
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.endpoints.model_list import models_of, name_on, window_of
from faq_tui.core.endpoints.probe import PROBE_TIMEOUT_S, look
from faq_tui.core.settings import EMBEDDED, Endpoint, Sampling
from faq_tui.core.settings.source import Source, checked_url
from faq_tui.core.setup.draft import Draft, draft_run
from faq_tui.core.setup.step_report import Line, StepReport, sentence

TRIAL = [{"role": "user", "content": "A train leaves at 9:40 and arrives at 11:05. How long does it take?"}]
TRIAL_TOKENS, TRIAL_TIMEOUT_S = 160, 30.0
CONCURRENCY: int = Source.model_fields["concurrency"].default
MOST_NAMES = 500  # at most this many models of a server's list are kept
LEAST_SECONDS = 0.05  # no rate is computed for a reply that took less time than this


@dataclass(frozen=True)
class ServerReport(StepReport):
    """`url` is the URL in its normal form. `models` are the names that the server lists."""

    url: str = ""
    model: str = ""
    models: tuple[str, ...] = ()
    window: int | None = None  # largest number of tokens of prompt and answer together; None if not reported
    # the part of the reply to the trial question that contained the reasoning; "" if no trial question was sent
    reasoning: str = ""
    rate: float | None = None  # tokens per second of one request
    badge: str = ""  # the verdict on the family


def look_at_source(draft: Draft) -> ServerReport:
    """Check the choice of the model that regenerates answers: on a server, on this machine, or no model."""
    if draft.origin == "server":
        return look_at_server(draft)
    if draft.origin == "none":
        text = "Nothing is regenerated: the run quantizes with the plain questions only. You can add a model later."
        return ServerReport((Line(text, "warning"),))
    if draft.target == EMBEDDED:
        return ServerReport((Line("faq-tui starts a small server for the embedded model on this machine.", "good"),))
    text = "faq-tui loads the model on this machine to answer the questions. A large model needs a GPU for this."
    advice = "A larger model of the same family usually gives better data."
    return ServerReport((Line(text, "good"), Line(advice, "dim")))


def look_at_server(draft: Draft) -> ServerReport:
    """List the server's models. If the draft names one of them, also ask this model a short question, and check its
    family.

    This function takes up to about a minute, so the app calls it in a thread.
    """
    try:
        url = _url(draft.url)
    except ValueError as error:
        return ServerReport(problem=f"the URL {sanitize(str(error), 200)}")
    endpoint = Endpoint(base_url=url, model=draft.model.strip(), api_key_env=draft.key_env.strip() or None)
    try:
        return asyncio.run(_with_v1(endpoint, draft))
    except FaqError as error:
        return ServerReport(problem=str(error), exit_code=error.exit_code, url=url)


def _url(text: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError("is missing: type the URL of an OpenAI-compatible server, such as http://elder:8000/v1")
    if text in (EMBEDDED, "local"):
        raise ValueError(
            f'"{text}" is not a URL. This step offers it only for the target "{EMBEDDED}". For other targets, choose '
            f'another answer here, and write base_url = "{text}" into faq.toml afterwards'
        )
    if not text.isprintable() or " " in text:
        raise ValueError("has a character that no URL has: correct it")
    if "://" in text and not text.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return checked_url(text if "://" in text else f"http://{text}")


async def _with_v1(endpoint: Endpoint, draft: Draft) -> ServerReport:
    """Ask the server for its models. If the URL does not end with /v1, ask at the URL with /v1 first."""
    if not endpoint.base_url.endswith("/v1") and "?" not in endpoint.base_url:
        try:
            return await _look(endpoint.model_copy(update={"base_url": f"{endpoint.base_url}/v1"}), draft)
        except FaqError:
            pass
    return await _look(endpoint, draft)


async def _look(endpoint: Endpoint, draft: Draft) -> ServerReport:
    async with Client(endpoint) as client:
        listed = await _models(client, endpoint)
        names = tuple(name for name in listed if name.isprintable())[:MOST_NAMES]
        found = ServerReport(url=endpoint.base_url, model=endpoint.model, models=names)
        if not endpoint.model and len(names) == 1:
            endpoint = endpoint.model_copy(update={"model": names[0]})
            found = replace(found, model=names[0])
        if not endpoint.model:
            return _without_model(found)
        described = await look(client, endpoint)  # raises EndpointError if the server has no such model
        name = name_on(endpoint.model, listed)
        window = described.max_model_len or (window_of(listed[name]) if name is not None else None)
        reply, fault = await _try(client, endpoint)
    return await asyncio.to_thread(_whole, replace(found, window=window), draft, reply, fault)


async def _models(client: Client, endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """The server's models. {} if the server cannot list them. Raises EndpointError if there is no server."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return models_of(await client.get_json("/models")) or {}
    except Exception as error:
        fault = explain(error, endpoint)
        if fault is None:
            raise
        if isinstance(error, StatusError | NotAnApiError):
            await look(client, endpoint)  # raises EndpointError if the server has no chat completions either
            return {}
        raise EndpointError(fault.advice) from None


def _without_model(found: ServerReport) -> ServerReport:
    """Return the report with a problem: no model is chosen yet."""
    if not found.models:
        problem = "the server does not list its models: type the name of the larger model"
    else:
        problem = "choose the larger model from the server's list"
    return replace(found, problem=problem, exit_code=ExitCode.USAGE)


async def _try(client: Client, endpoint: Endpoint) -> tuple[Reply | None, str]:
    """Ask one short question. Return the reply, or the reason why there is none."""
    sampling = Sampling(max_tokens=TRIAL_TOKENS)
    extra = {"chat_template_kwargs": {"enable_thinking": True}}
    try:
        async with asyncio.timeout(TRIAL_TIMEOUT_S):
            return await stream_chat(client, endpoint.model, TRIAL, sampling, 0, extra), ""
    except Exception as error:
        fault = explain(error, endpoint)
        if fault is None:
            raise
        return None, fault.advice


def _whole(found: ServerReport, draft: Draft, reply: Reply | None, fault: str) -> ServerReport:
    complete = replace(draft, origin="server", url=found.url, model=found.model, seeds=draft.seeds or "starter")
    lines = [Line(f"{found.url} serves {found.model}", "good")]
    window = f"{found.window:,} tokens" if found.window else "not stated by the server"
    lines.append(Line(f"Context window: {window}"))
    found = replace(found, **_of_reply(reply))
    lines += _reply_lines(found, reply, fault)
    with draft_run(complete) as run:
        for check in family_checks(run):
            if check.name.startswith("family "):
                found = replace(found, badge=check.found.partition(":")[0])
            lines.append(Line(sentence(check.found), "good" if check.state == "ok" else "warning"))
            if check.advice:
                lines.append(Line(sentence(check.advice), "dim"))
    return replace(found, lines=tuple(lines))


def _of_reply(reply: Reply | None) -> dict[str, Any]:
    if reply is None:
        return {}
    tokens = reply.completion_tokens or 0
    rate = tokens / reply.seconds if tokens and reply.seconds > LEAST_SECONDS else None
    return {"reasoning": reply.dialect, "rate": rate}


def _reply_lines(found: ServerReport, reply: Reply | None, fault: str) -> Iterator[Line]:
    if reply is None:
        yield Line(f"A short question was not answered: {fault}", "warning")
        return
    if found.reasoning == "none":
        yield Line(
            "The reply to a short question has no reasoning. Reasoning makes better calibration data.", "warning"
        )
    elif found.reasoning == "inline":
        yield Line(
            "The reply to a short question has its reasoning in tags inside the answer. faq-tui separates them."
        )
    else:
        yield Line(f"The reply to a short question has its reasoning in the field {found.reasoning}.")
    if found.rate:
        speed = f"Speed: {found.rate:,.0f} tokens per second for one request"
        yield Line(f"{speed}; the run sends {CONCURRENCY} at the same time.")
    if reply.left_out:
        yield Line(f"The server refuses {', '.join(reply.left_out)}; faq-tui leaves this out.", "warning")
