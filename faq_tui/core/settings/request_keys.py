"""Keys of sources and of the judge: keys that change requests, and the longest wait for a server that is down."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from faq_tui.core.settings.section import AddedLater

REQUIRED = frozenset({"model", "messages"})
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
)
PATIENCE_S = 600.0
REQUEST_KEYS = ("extra_body", "extra_headers", "chat_template_kwargs", "leave_out")


def checked_parameters(value: dict[str, Any]) -> dict[str, Any]:
    """The parameters.

    Raises ValueError if a value cannot be written as JSON. Raises ValueError for a parameter that faq-tui itself
    sets.
    """
    for name in sorted(REQUIRED & value.keys()):
        raise ValueError(f"must not have {name!r}: faq-tui sets it")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("has a value that JSON cannot hold, such as a date or nan") from None
    return value


def checked_headers(value: dict[str, str]) -> dict[str, str]:
    """The headers. Raises ValueError if HTTP does not allow one of the headers."""
    for name, text in value.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
            raise ValueError(f"{name!r} is not the name of a header that can be set")
        if not (text.isascii() and text.isprintable()):
            raise ValueError(f"the value of {name} has characters that no header can have")
    return value


def checked_left_out(value: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the parameters to leave out. Raises ValueError if a request needs one of these parameters."""
    for name in value:
        if name in REQUIRED:
            raise ValueError(f"must not name {name!r}: every request needs it")
    return value


# This key is not part of the settings' hash, because it never changes a result.
PatienceS = Annotated[
    float,
    Field(
        ge=0,
        le=604_800,
        exclude=True,
        description="longest wait for a server that is down, in seconds; with 0 the stage fails at once",
    ),
]
ExtraBody = Annotated[
    dict[str, Any],
    AfterValidator(checked_parameters),
    Field(description="further parameters of each request, such as { top_a = 0.1 }; they replace faq-tui's own"),
    AddedLater(),
]
ExtraHeaders = Annotated[
    dict[str, str],
    AfterValidator(checked_headers),
    Field(description='further headers, such as { api-key = "$AZURE_KEY" }; $NAME is an environment variable'),
    AddedLater(),
]
ChatTemplateKwargs = Annotated[
    dict[str, Any],
    AfterValidator(checked_parameters),
    Field(description='arguments of the chat template, such as { reasoning_effort = "high" }'),
    AddedLater(),
]
LeaveOut = Annotated[
    tuple[str, ...],
    AfterValidator(checked_left_out),
    Field(description='parameters that requests must not have, such as ["stream_options"]'),
    AddedLater(),
]
