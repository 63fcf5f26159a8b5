"""Find the secrets that the settings name: API keys in environment variables, and passwords in URLs."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from faq_tui.core.base.secrets import Secrets

if TYPE_CHECKING:
    from faq_tui.core.settings.schema import Settings
    from faq_tui.core.settings.source import Endpoint

HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # with these tokens, gated models are downloaded
BASIC = "Basic "
URL_KEYS = ("base_url", "also_at")
# parameters in the query of a URL whose values are secret; values of others, such as api-version, may be common words
_SECRET_NAME = re.compile(r"key|token|secret|pass|sig|auth|code", re.IGNORECASE)


def key_variables(settings: Settings) -> set[str]:
    """The environment variables that `api_key_env` names, or that `extra_headers` names as "$NAME"."""
    return set(_variables(settings.model_dump()))


def secrets_of_run(settings: Settings) -> Secrets:
    """All secrets of a run: the values of `key_variables`, the tokens of the hub, and the secrets in URLs."""
    values = [os.environ.get(name, "").strip() for name in (*sorted(key_variables(settings)), *HUB_TOKENS)]
    return Secrets([*values, *(secret for url in _urls(settings.model_dump()) for secret in secrets_in_url(url))])


def secrets_of_endpoint(endpoint: Endpoint) -> Secrets:
    """The secrets that a server gets with a request, and could repeat in its response."""
    values = [os.environ.get(name, "").strip() for name in _variables(endpoint.model_dump())]
    return Secrets([*values, *(secret for url in endpoint.urls for secret in secrets_in_url(url))])


def secrets_in_url(url: str) -> list[str]:
    """The password of a URL, in each form in which a server may get it, and the keys in its query."""
    try:
        parts = urlsplit(url)
        keys = [value for name, value in parse_qsl(parts.query) if _SECRET_NAME.search(name)]
    except ValueError:
        return []
    if parts.password is None:
        return keys
    basic = (basic_authorization(url) or "").removeprefix(BASIC)
    return [unquote(parts.password), parts.password, basic, *keys]


def basic_authorization(url: str) -> str | None:
    """The header value `Basic …` for a URL that contains a user. None for other URLs."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"{BASIC}{base64.b64encode(pair.encode()).decode()}"


def has_credentials(url: str) -> bool:
    """True if the URL contains a user, a password or a query, which may be secret."""
    return bool(urlsplit(url).query) or "@" in urlsplit(url).netloc


def _variables(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if name := value.get("api_key_env"):
            yield str(name)
        for header in (value.get("extra_headers") or {}).values():
            if header.startswith("$"):
                yield header[1:]
        for inner in value.values():
            yield from _variables(inner)


def _urls(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in URL_KEYS:
                yield from (inner,) if isinstance(inner, str) else (inner or ())
            else:
                yield from _urls(inner)
