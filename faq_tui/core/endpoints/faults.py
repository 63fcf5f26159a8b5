"""What an exception of a request means: worth another try, or what the person must change."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from dataclasses import dataclass, replace

from faq_tui.core.endpoints.chat import BrokenStreamError, NotAnApiError
from faq_tui.core.endpoints.client import key_of
from faq_tui.core.settings import Endpoint

RETRY_STATUS = frozenset({408, 409, 425, 429})
SECRET_LENGTH = 8  # a shorter key is a stand-in such as "EMPTY", and a part of many words


@dataclass(frozen=True)
class Fault:
    """`reason` is for the record; `advice` is the whole sentence for a person if the fault stays."""

    retry: bool
    reason: str
    advice: str
    unreachable: bool  # the server itself is the trouble: exit code 3
    wait_s: float | None = None  # what Retry-After asks for


def no_api(endpoint: Endpoint) -> str:
    return f"{endpoint.base_url} does not answer as an OpenAI-compatible server: check that base_url ends in /v1"


def explain(error: BaseException, endpoint: Endpoint) -> Fault | None:
    """The fault behind an exception of the client library; None if it is none of a request's.

    Several servers repeat the key in their error message: it is blotted out, since faults are shown and stored.
    """
    fault, key = _explain(error, endpoint), key_of(endpoint)
    if fault is None or key is None or len(key) < SECRET_LENGTH:
        return fault
    return replace(fault, reason=fault.reason.replace(key, "***"), advice=fault.advice.replace(key, "***"))


def _explain(error: BaseException, endpoint: Endpoint) -> Fault | None:
    import httpx2  # the client library's transport
    import openai

    url = endpoint.base_url
    if isinstance(error, openai.APIStatusError):
        return _status_fault(error.status_code, _detail(error), error.response.headers.get("retry-after"), endpoint)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | asyncio.TimeoutError):
        return Fault(True, "timed out", f"{url} did not answer in time: is the server up and not overloaded?", True)
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        cause = _root(error)
        return Fault(
            True,
            f"connection failed ({cause})",
            f"cannot reach {url} ({cause}): is the server running, and the URL right?",
            True,
        )
    if isinstance(error, NotAnApiError):
        return Fault(False, "a web page", no_api(endpoint), True)
    if isinstance(error, openai.APIError | BrokenStreamError):
        reason = _short(str(error))
        return Fault(True, reason, f"{url} failed in the middle of an answer ({reason})", False)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return Fault(
            True,
            "not JSON",
            f"{url} does not answer in JSON: is it an OpenAI-compatible server (…/v1)?",
            True,
        )
    return None


def _status_fault(status: int, detail: str, retry_after: str | None, endpoint: Endpoint) -> Fault:
    url, reason = endpoint.base_url, f"HTTP {status} {detail}".strip()
    if status >= 500 or status in RETRY_STATUS:
        return Fault(True, reason, f"{url} keeps answering {reason}", True, _seconds(retry_after))
    if status in (401, 403):
        key = f"the key in ${endpoint.api_key_env}" if endpoint.api_key_env else "a request without a key"
        advice = f"{url} refused {key} (HTTP {status}): set api_key_env to a variable that holds the right key"
        return Fault(False, reason, advice, True)
    if status == 404:
        advice = f"{url} knows no chat completions for model {endpoint.model!r} (HTTP 404): check base_url and model"
        return Fault(False, reason, advice, True)
    return Fault(False, reason, f"{url} refused the request: {reason}", False)


def _detail(error: object) -> str:
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    return _short(str(message)) if message else ""


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After: seconds, or an HTTP date."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _root(error: BaseException) -> str:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return _short(str(error)) or type(error).__name__


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
