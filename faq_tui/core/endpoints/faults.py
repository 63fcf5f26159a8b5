"""Explain why a request failed. The explanation says whether another try can help, and what the user must change."""

from __future__ import annotations

import email.utils
import math
import os
import random
import re
import socket
import ssl
import time
from dataclasses import dataclass

from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import NotAnApiError, StatusError
from faq_tui.core.endpoints.proxies import proxy_for
from faq_tui.core.endpoints.transport import REFUSES_USER, CutOffError, ProxyError
from faq_tui.core.settings import Endpoint
from faq_tui.core.settings.secrets import secrets_of_endpoint

RETRY_STATUS = frozenset({408, 409, 425, 429})
BUSY_STATUS = frozenset({429, 503})
GATEWAY_STATUS = frozenset({502, 503, 504})  # the server behind a gateway is down or still loading

# HTTP statuses with which a server refuses only the present request, and may accept others
REQUEST_STATUS = frozenset({400, 413, 422, 451})
# Some gateways refuse with status 400 because the model does not exist, or because the account has no money left.
# A refusal that matches NO_MODEL or NO_MONEY applies to all requests, not only to this one.
NO_MODEL = re.compile(
    r"\b(?:invalid|unknown|no such|unrecogni[sz]ed|incorrect) model(?:[ _](?:name|id))?\b"
    r"(?! (?:input|output|param|arg))"
    r"|\bmodel\b(?: \S{0,99}[^\s,.;:!?])? (?:(?:does|do) )?(?:not|n't) (?:exist|found)\b|\bmodel_not_found\b",
    re.IGNORECASE,
)
_MONEY = r"(?:budget|quota|credits?|balance|billing|funds|spend(?:ing)? limit)"
NO_MONEY = re.compile(
    rf"(?<!token )(?<!thinking )\b{_MONEY}\b(?: \S+){{0,3}} (?:exceeded|exhausted|spent|insufficient|reached|"
    rf"depleted|too low)\b|\b(?:insufficient|exceeded|not enough|out of|no remaining)(?: \S+){{0,2}} {_MONEY}\b",
    re.IGNORECASE,
)
LONGEST_RETRY_AFTER_S = 900.0  # longest wait in seconds that a server can ask for
LONGEST_WAIT_S = 60.0  # longest wait in seconds between two tries, unless the server asks for a longer wait
_WITH_UNIT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?(ms|s)")
_UNITS = {"ms": 1000.0, "s": 1.0}  # units per second


@dataclass(frozen=True)
class RequestFault:
    """Why a request failed. `reason` is stored. `advice` is shown to the person if the fault persists."""

    retry: bool
    reason: str
    advice: str
    unreachable: bool  # True if the server is at fault; the exit code is then 3
    wait_s: float | None = None  # seconds to wait, from the header Retry-After; None if there is no such header
    busy: bool = False  # True if the server asks for fewer requests
    connected: bool = True  # False if there was no connection
    of_request: bool = False  # True if the server refuses this request, but may accept others
    may_be_down: bool = False  # True if the server may be down; a probe must confirm this
    unknown_host: bool = False  # True if the host's name does not exist


def no_api(endpoint: Endpoint) -> str:
    return f"{endpoint.shown_url} does not answer as an OpenAI-compatible server: check that base_url ends in /v1"


def explain(error: BaseException, endpoint: Endpoint) -> RequestFault | None:
    """The fault that caused a request's exception. None if the exception does not come from a request.

    Some servers repeat the API key in their error messages. The function replaces the key by ***, because error
    messages are shown and stored.
    """
    url = endpoint.shown_url
    if isinstance(error, StatusError):
        return _status_fault(error, endpoint)
    if isinstance(error, NotAnApiError):
        return RequestFault(False, "a web page", no_api(endpoint), True)
    if isinstance(error, BrokenStreamError):
        reason = _clean(str(error), endpoint)
        return RequestFault(
            True, reason, f"{url} failed in the middle of an answer ({reason})", False, may_be_down=True
        )
    if isinstance(error, ssl.SSLError):
        return _tls_fault(error, url)
    if isinstance(error, TimeoutError):
        plain = ", and does it speak TLS? If it does not, write http:// instead of https://"
        tls = plain if url.startswith("https") else "?"
        advice = f"{url} did not answer in time: is the server up and not overloaded{tls}"
        return RequestFault(True, "timed out", advice, True, may_be_down=True)
    if isinstance(error, CutOffError):
        why = _short(str(error))
        advice = f"{url} does not answer ({why}): check the URL, and whether it needs http:// or https://"
        return RequestFault(True, f"connection lost ({why})", advice, True, may_be_down=True)
    if isinstance(error, ProxyError):
        why = _short(error.why)
        if error.refuses:
            return _refused_by_proxy(error.variable, why, url)
        advice = (
            f"cannot reach {url} through the proxy in {error.variable} ({why}): check the proxy, or add the "
            "server's host to $NO_PROXY"
        )
        return RequestFault(True, f"the proxy failed ({why})", advice, True, connected=False, may_be_down=True)
    if isinstance(error, OSError):
        why = _cause(error)
        what = "the http:// or https:// of its URL" if isinstance(error, ConnectionResetError) else "its URL"
        advice = f"cannot reach {url} ({why}): is the server running, and is {what} right?"
        unknown = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
        return RequestFault(
            *(True, f"connection failed ({why})", advice, True),
            connected=False,
            may_be_down=True,
            unknown_host=unknown,
        )
    if isinstance(error, UnicodeError):  # the host name is invalid
        return RequestFault(False, "no such address", f"cannot reach {url}: check base_url", True)
    return None


def backoff(attempt: int, first_s: float) -> float:
    """The number of seconds to wait after try number `attempt`. The number is random, between 0 and a limit.

    The limit starts at `first_s` and doubles with each try, up to `LONGEST_WAIT_S`.

    If several clients fail at the same time, random waits ("full jitter") spread their next tries best.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random.uniform(0.0, min(LONGEST_WAIT_S, first_s * 2.0 ** min(attempt - 1, 30)))


def _status_fault(error: StatusError, endpoint: Endpoint) -> RequestFault:
    url, status = endpoint.shown_url, error.status
    reason = f"HTTP {status} {_clean(error.message, endpoint)}".strip()
    if status >= 500 or status in RETRY_STATUS:
        wait = _seconds(error.retry_after)
        down = status >= 500
        advice = f"{url} keeps answering {reason}"
        return RequestFault(True, reason, advice, True, wait, busy=status in BUSY_STATUS, may_be_down=down)
    if status in (401, 403):
        key = f"the key in ${endpoint.api_key_env}" if endpoint.api_key_env else "a request without a key"
        advice = f"{url} refused {key} (HTTP {status}): set api_key_env to a variable that holds the right key"
        return RequestFault(False, reason, advice, True)
    if status == REFUSES_USER and (proxy := proxy_for(url)) is not None:
        return _refused_by_proxy(proxy.variable, f"it answers {status}", url)
    if status == 404:
        whole = url.partition("?")[0].rstrip("/").endswith("/v1")
        what = "base_url and model" if whole else "that base_url ends in /v1, and the model's name"
        advice = f"{url} offers no chat completions for model {endpoint.model!r} (HTTP 404): check {what}"
        return RequestFault(False, reason, advice, True)
    if status in (301, 302, 303, 307, 308):
        where = f"to {_short(error.location)}" if error.location else "to another URL"
        return RequestFault(False, reason, f"{url} redirects {where}: set base_url to the URL of the API", True)
    refused = f"{url} refused the request: {reason}"
    if status in REQUEST_STATUS and NO_MODEL.search(error.message):
        advice = f"{url} does not serve model {endpoint.model!r} ({reason}): check the model's name"
        return RequestFault(False, reason, advice, True)
    no_money = NO_MONEY.search(error.message) is not None
    return RequestFault(False, reason, refused, False, of_request=status in REQUEST_STATUS and not no_money)


def _refused_by_proxy(variable: str, why: str, url: str) -> RequestFault:
    advice = (
        f"cannot reach {url} through the proxy in {variable} ({why}): correct the user and the password in this "
        "variable, and write %40 for @ and %3A for a colon in the password"
    )
    return RequestFault(False, f"the proxy failed ({why})", advice, True, connected=False)


def _tls_fault(error: ssl.SSLError, url: str) -> RequestFault:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _short(error.verify_message)
        advice = (
            f"the certificate of {url} is not trusted ({why}): "
            "use the host name in the certificate, or set $SSL_CERT_FILE to a file with the CA certificate that "
            "signed it"
        )
        return RequestFault(False, f"certificate not trusted ({why})", advice, True)
    why = _short((error.reason or str(error)).replace("_", " ").lower())
    plain = f": if the server speaks plain HTTP, write http:// instead of https:// ({why})"
    return RequestFault(False, f"no TLS ({why})", f"no TLS connection to {url}{plain}", True)


def _seconds(retry_after: str | None) -> float | None:
    """The number of seconds that a Retry-After header asks for.

    The header holds seconds or an HTTP date. Some servers add a unit, as in "30s" or "300ms". The result is None if
    the header holds something else.
    """
    if not retry_after:
        return None
    with_unit = _WITH_UNIT.fullmatch(retry_after.strip())
    try:
        return _bounded(float(with_unit[1]) / _UNITS[with_unit[2]] if with_unit else float(retry_after))
    except ValueError:
        pass
    try:
        return _bounded(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _clean(text: str, endpoint: Endpoint) -> str:
    """Remove the secrets from the text, then shorten the text.

    If the text were shortened first, the shortened text could end with a part of a secret.
    """
    return _short(secrets_of_endpoint(endpoint).masked(text))


def _bounded(seconds: float) -> float:
    return min(LONGEST_RETRY_AFTER_S, max(0.0, seconds)) if math.isfinite(seconds) else 0.0


def _cause(error: OSError) -> str:
    """The operating system's error message, without the server's address.

    The sentence that contains this message already names the server's address.
    """
    text = os.strerror(error.errno) if error.errno and not isinstance(error, socket.gaierror) else error.strerror
    return _short(text or str(error)) or type(error).__name__


def _short(text: str | None) -> str:
    return " ".join((text or "").split())[:200]
