"""Choose how a judge's server is asked for JSON: by a schema, as any JSON object, or by the prompt alone.

If a server does not support a form, it may ignore the form, or refuse the request with one of many error messages.
Once a form has worked, it is stored, and all later requests use it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from faq_tui.core.endpoints.chunks import ErrorChunkError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.endpoints.window import is_about_room

SCHEMA, OBJECT, TEXT = "json_schema", "json_object", "text"
FORMS = (SCHEMA, OBJECT, TEXT)
IGNORED = 4  # If this many replies in a row break the schema, the server is assumed to ignore the schema.
# HTTP statuses whose cause is never the form of the reply, but for example a wrong key or too many requests
_OTHER_STATUS = frozenset({401, 402, 403, 407, 408, 409, 413, 425, 429, 502, 503, 504})
_REFUSES_ANYTHING = frozenset({400, 415, 422, 501})  # HTTP statuses with which a server may refuse a form
_FAILS = 500
_FORM_WORDS = re.compile(
    r"response.?format|json.?schema|json.?object|json.?mode|structured|schema|guided|grammar|outlines|\bformat\b",
    re.IGNORECASE,
)
T = TypeVar("T")


class ReplyForm:
    """The form in which one server is asked for replies. All requests of a judge use the same object."""

    def __init__(self, known: str = "", save: Callable[[str], None] = lambda _form: None) -> None:
        """`known` is the form that an earlier run found, or "". `save` is called with the form once it is known."""
        self.form = known if known in FORMS else SCHEMA
        self.known = known in FORMS
        self._save = save
        self._first = asyncio.Lock()
        self._other_refusal = False  # True after the server has refused a request in every form
        self._broken = 0  # number of replies in a row that break the schema; -1 after a reply that fits it

    async def __call__(self, request: Callable[[dict[str, Any]], Awaitable[T]], schema: dict[str, Any]) -> T:
        """Await `request(parameters)`.

        `parameters` tells the server how to write the JSON (the form). If the server refuses a form, the next form is
        tried. Raises the same errors as the request. Until the form is known, requests wait for each other, so that
        only one of them is refused.
        """
        if self.known:
            return await self._tried(request, schema)
        async with self._first:
            return await self._tried(request, schema)

    async def _tried(self, request: Callable[[dict[str, Any]], Awaitable[T]], schema: dict[str, Any]) -> T:
        first_error: StatusError | ErrorChunkError | None = None
        for form in FORMS[FORMS.index(self.form) :]:
            try:
                result = await request(parameters(form, schema))
            except (StatusError, ErrorChunkError) as error:
                first_error = first_error or error
                if form == TEXT or not self._may_mean_the_form(error):
                    self._other_refusal |= form == TEXT and first_error is not error
                    raise first_error from None
                continue
            if not self.known or form != self.form:
                self._becomes(form)
            return result
        raise AssertionError("every request must return a reply or raise an error")

    def read(self, fits: bool) -> None:
        """Record whether the first reply to a prompt fits the schema.

        A server that ignores the schema gets no further request with a schema.
        """
        if self.form != SCHEMA or self._broken < 0:
            return
        self._broken = -1 if fits else self._broken + 1
        if self._broken >= IGNORED:
            self._becomes(TEXT)

    def _becomes(self, form: str) -> None:
        self.form, self.known = form, True
        self._save(form)

    def _may_mean_the_form(self, error: StatusError | ErrorChunkError) -> bool:
        if error.status in _OTHER_STATUS:
            return False
        if _FORM_WORDS.search(f"{error.message} {_parameter(error.body)}"):
            return True
        # Some servers answer with status 500 to a form that they do not support. If a form has worked before, status
        # 500 has another cause.
        may_refuse = error.status in _REFUSES_ANYTHING or (error.status == _FAILS and not self.known)
        return may_refuse and not self._other_refusal and not is_about_room(error.message)


def parameters(form: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The keys of a request's body that ask for JSON in the form `form`."""
    if form == SCHEMA:
        named = {"name": "marks", "strict": True, "schema": schema}
        return {"response_format": {"type": SCHEMA, "json_schema": named}}
    return {"response_format": {"type": OBJECT}} if form == OBJECT else {}


def _parameter(body: Any) -> str:
    """The name of the refused parameter, read from the body of an error in OpenAI's format."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("param") or "") if isinstance(error, dict) else ""
