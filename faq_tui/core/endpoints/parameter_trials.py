"""Find out by trial which parameters a server refuses, if the server's refusal does not name them.

A server may refuse a request with only the words "Bad Request". A refusal costs nothing, so the request is sent
again without those parameters that many servers do not know. After the server has answered a request, there are no
more trials: if it now refuses a request without a reason, the question in the request must be the cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from faq_tui.core.endpoints.capabilities import RESPONSE_FORMAT, Capabilities

# The status of a refusal that may be about a parameter.
STATUS = frozenset({400, 422})
MOST_CHARACTERS = 200
# A refusal that consists only of these words, such as "400 Bad Request", does not say what is wrong.
_NO_REASON = """
    http status code error errors 400 422 bad invalid malformed unprocessable entity content request
    requests body input payload json parameter parameters argument arguments params value validation
    failed failure exception badrequest badrequesterror validationerror your the is was has an a from
    upstream backend server nginx message null none unknown
"""
_WORD = re.compile(r"[^\W_]+")
# The parameters of a group are left out together. The first group is the one that servers refuse most often.
GROUPS = (
    frozenset({"top_k", "min_p", "repetition_penalty"}),
    frozenset({"chat_template_kwargs"}),
    frozenset({"stream_options"}),
    frozenset({"seed"}),
)


class ParameterTrials:
    """The trials for one request. In each trial, the request lacks a set of parameters."""

    def __init__(self) -> None:
        self._trials: Iterator[frozenset[str]] | None = None

    def next(self, status: int, message: str, sent: Mapping[str, Any], known: Capabilities) -> frozenset[str] | None:
        """The parameters to leave out in the next request. None if no trial is left, or if no trial can help.

        `sent` is the body of the refused request. `known` are the capabilities that were known before this request.
        """
        if known.usage is not None or status not in STATUS:
            return None
        if len(message) > MOST_CHARACTERS or not {word.lower() for word in _WORD.findall(message)} <= set(
            _NO_REASON.split()
        ):
            return None
        if RESPONSE_FORMAT in sent:  # after a refusal, a judge changes `response_format` itself
            return None
        if self._trials is None:
            self._trials = _trials(sent)
        return next(self._trials, None)


def _trials(sent: Mapping[str, Any]) -> Iterator[frozenset[str]]:
    """Yield each group alone, and then the first two groups together, the first three groups together, and so on."""
    groups = [present for group in GROUPS if (present := group & sent.keys())]
    yield from groups
    for count in range(2, len(groups) + 1):
        yield frozenset().union(*groups[:count])
