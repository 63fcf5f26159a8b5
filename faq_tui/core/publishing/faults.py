"""The errors of the hub as sentences. No sentence contains the token, even if the hub repeats it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from faq_tui.core.base.errors import EndpointError, FaqError, UsageError
from faq_tui.core.base.text import sanitize

LONGEST = 300
AGAIN = "run the same command again, and what the hub already has is not sent again"
BAD_TOKEN = "the token for the hub has characters that no token has: set HF_TOKEN to a valid one, or log in again"
NO_TOKEN = "there is no token for the hub: set HF_TOKEN, or log in with `hf auth login`"


def hub_fault(error: Exception, token: str, repo_id: str) -> FaqError:
    """What went wrong, and what to do. `repo_id` is the repository that was to be written."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    chain = list(_chain(error))
    if any(isinstance(one, OfflineModeIsEnabled) for one in chain):
        return UsageError("HF_HUB_OFFLINE is set, so nothing can be uploaded: unset it")
    refusal = next((one for one in chain if isinstance(one, HfHubHTTPError)), None)
    if refusal is not None:
        if _is_page(refusal.response):
            return _not_a_hub(f"a web page with HTTP {refusal.response.status_code}")
        return _refused(refusal.response.status_code, _clean(refusal.server_message or str(refusal), token), repo_id)
    if any(isinstance(one, json.JSONDecodeError) for one in chain):
        return _not_a_hub("no JSON")
    lost = next((one for one in chain if _is_of_network(one)), None)
    if lost is not None:
        why = _clean(str(lost), token) or type(lost).__name__
        return EndpointError(f"the connection to the hub at {constants.ENDPOINT} failed ({why}): {AGAIN}")
    last = chain[-1]
    return FaqError(f"the upload failed ({type(last).__name__}: {_clean(str(last), token)}): {AGAIN}")


def _not_a_hub(answer: str) -> EndpointError:
    """The error for a server at the hub's address that does not answer as a hub does. `answer` is what it sends."""
    from huggingface_hub import constants

    return EndpointError(
        f"the server at {constants.ENDPOINT} does not answer as the hub does (it sends {answer}): check HF_ENDPOINT, "
        "and log in to the network if a proxy asks for it"
    )


def _is_page(response: Any) -> bool:
    """True for a web page, such as the login page of a proxy. The hub itself may send one if it is overloaded."""
    status, kind = response.status_code, str(response.headers.get("content-type", ""))
    return status < 500 and status != 429 and kind.partition(";")[0].strip().lower() == "text/html"


def _refused(status: int, why: str, repo_id: str) -> FaqError:
    if status == 401:
        return EndpointError(f"the hub refuses the token ({why}): set HF_TOKEN to a valid one, or log in again")
    if status == 403:
        return EndpointError(
            f"the hub does not let this token write to {repo_id} ({why}): use a token with write access"
        )
    if status >= 500 or status == 429:
        return EndpointError(f"the hub cannot take the upload now (HTTP {status}: {why}): {AGAIN}")
    return FaqError(f"the hub refuses the upload to {repo_id} (HTTP {status}: {why})")


def _is_of_network(error: BaseException) -> bool:
    """True for errors of a connection. The hub's library changes its HTTP client from release to release."""
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.partition(".")[0] in (
        "httpx",
        "httpx2",
        "httpcore",
        "requests",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and the errors that caused it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _clean(text: str, token: str) -> str:
    hidden = text.replace(token, "***") if token else text
    return sanitize(" ".join(hidden.split()), LONGEST)
