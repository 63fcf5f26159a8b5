"""What a server accepts and reports for one model, as its replies and refusals show."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from faq_tui.core.base.text import in_a_row
from faq_tui.core.endpoints.refusals import refused_parameters
from faq_tui.core.endpoints.window import is_about_room, window_in_refusal

MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
# The two sources from which the size of a model's window can be read: the list of models, or a refusal.
LISTED, REFUSAL = "listed", "refusal"
# only requests to a judge have this parameter; `ReplyForm` handles a refusal of the parameter
RESPONSE_FORMAT = "response_format"
FORGET_AFTER_S = 7 * 86400.0
# A response with one of these HTTP statuses says nothing about the parameters of the request.
NOT_ABOUT_PARAMETERS = frozenset({401, 402, 403, 404, 407, 408, 409, 413, 425, 429, 451})
SERVER_STATUS = frozenset({500, 501})  # some servers send these HTTP statuses when they refuse a parameter


@dataclass(frozen=True)
class Capabilities:
    """What a server accepts and reports.

    The default values mean that nothing is known about the server. As long as nothing is known, a request has all
    parameters that the settings contain.
    """

    left_out: tuple[str, ...] = ()  # parameters that the server refused; they are not sent any more
    limit_name: str = MAX_TOKENS  # the name of the parameter that limits the length of the reply

    # form of the replies if the model is a judge: json_schema, json_object or text; "" if not known
    reply_format: str = ""
    window: int | None = None  # largest number of tokens in prompt and reply together
    window_from: str = ""  # LISTED or REFUSAL

    # Name of the field that holds the reasoning. "inline" means that the answer contains the reasoning. "none" means
    # that replies have no reasoning. "" means that the field is not known.
    reasoning_field: str = ""
    usage: bool | None = None  # True if replies contain token counts; None if not known
    identity: str = ""  # the server's description of the model; if it changes, all facts are forgotten
    learned: float = 0.0  # Unix time at which the first fact was stored

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Capabilities:
        """Read the result of `to_json`. Unknown names are ignored, because a newer faq-tui may have written them."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in facts.items() if name in known}
        return cls(**{**values, "left_out": tuple(values.get("left_out", ()))})

    def without(self, names: frozenset[str]) -> Capabilities:
        """A copy of these capabilities, with `names` added to the parameters that are left out."""
        new = sorted(names - set(self.left_out))
        return replace(self, left_out=(*self.left_out, *new)) if new else self

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def accepted_in_words(self) -> list[str]:
        """Say how the requests to this server deviate from the settings.

        Each string is a part of a sentence.
        """
        parts = []
        if self.left_out:
            parts.append(f"does not accept {in_a_row(self.left_out)}: requests are sent without {_it(self.left_out)}")
        if self.limit_name != MAX_TOKENS and MAX_TOKENS not in self.left_out:
            parts.append(f"expects {self.limit_name} in place of {MAX_TOKENS}")
        return parts

    def in_words(self) -> list[str]:
        """All known facts. Each string is a part of a sentence."""
        parts = self.accepted_in_words()
        if self.window is not None:
            source = "as its model list says" if self.window_from == LISTED else "as a refusal says"
            parts.append(f"window of {self.window:,} tokens, {source}")
        if self.reply_format:
            parts.append(f"judge replies as {self.reply_format}")
        if self.reasoning_field:
            where = {"none": "no reasoning in replies", "inline": "reasoning in the text of replies"}
            parts.append(where.get(self.reasoning_field, f"reasoning in the field {self.reasoning_field}"))
        if self.usage is not None:
            parts.append("reports token counts" if self.usage else "reports no token counts")
        return parts


UNKNOWN = Capabilities()


class LearnedCapabilities:
    """The known capabilities of one server and model. Each request can add facts.

    All requests of a client share one object. If the server refuses a parameter, faq-tui omits this parameter from
    later requests. faq-tui stores and reports the refusal only after the server has accepted a request without this
    parameter. The object is not thread-safe.
    """

    def __init__(
        self,
        known: Capabilities = UNKNOWN,
        url: str = "",
        say: Callable[[str], None] = lambda _: None,
        save: Callable[[Capabilities], None] = lambda _: None,
    ) -> None:
        """`say` is called with a sentence when a parameter is left out. `save` is called when there are new facts."""
        self.current = known
        self._url, self._say, self._save = url, say, save
        self._confirmed = known
        self._said = set(known.accepted_in_words())

    def described(self, identity: str, window: int | None) -> None:
        """Store the server's description of the model. If the description has changed, forget all other facts."""
        expired = self.current.learned and time.time() - self.current.learned > FORGET_AFTER_S
        changed = identity and self.current.identity and identity != self.current.identity
        if expired or changed:
            self.current = self._confirmed = UNKNOWN
            self._said.clear()
        facts: dict[str, Any] = {}
        if identity and identity != self.current.identity:
            facts["identity"] = identity
        if window is not None and (window, LISTED) != (self.current.window, self.current.window_from):
            facts |= {"window": window, "window_from": LISTED}
        if facts or expired or changed:
            self._learn(**facts)

    def answered(self, reasoning_field: str, usage: bool) -> None:
        """Store the facts that a complete reply shows."""
        facts: dict[str, Any] = {}
        if reasoning_field != self.current.reasoning_field and (
            reasoning_field != "none" or not self.current.reasoning_field
        ):
            facts["reasoning_field"] = reasoning_field
        if usage is not self.current.usage and (usage or self.current.usage is None):
            facts["usage"] = usage
        if facts:
            self._learn(**facts)

    def replied_as(self, reply_format: str) -> None:
        """Store the form in which the model replies as a judge: json_schema, json_object or text."""
        if reply_format != self.current.reply_format:
            self._learn(reply_format=reply_format)

    def refused(self, status: int, message: str, body: Any, sent: Mapping[str, Any]) -> frozenset[str]:
        """Find the parameters that the server refused. `sent` is the body of the refused request.

        The result holds those parameters of the request whose names are in the refusal. Later requests lack these
        parameters, or have them under another name. If the result is empty, the caller must not send the request
        again, because the server would refuse it again.
        """
        if status in NOT_ABOUT_PARAMETERS or not (400 <= status < 500 or status in SERVER_STATUS):
            return frozenset()
        window = window_in_refusal(message)
        if window is not None and self.current.window is None:
            self._learn(window=window, window_from=REFUSAL)
        names = refused_parameters(body if body is not None else message, sent) - {RESPONSE_FORMAT}
        limit = names & {MAX_TOKENS, MAX_COMPLETION_TOKENS}
        if limit:
            # The limit of tokens has two names. faq-tui tries both names before it sends a request without the limit.
            # Without a limit in the request, faq-tui cuts the reply off itself.
            if self.current.limit_name == MAX_TOKENS:
                self.current = replace(self.current, limit_name=MAX_COMPLETION_TOKENS)
            elif MAX_COMPLETION_TOKENS in limit:
                self._leave_out({MAX_TOKENS})
        self._leave_out(names - limit)
        return names

    def accepted(self, used: Capabilities, tried: frozenset[str] = frozenset()) -> None:
        """Call this when the server has accepted a request.

        `used` are the capabilities that were known when the request was built. `tried` are the parameters that this
        request lacks because the server refused an earlier request without saying why.

        If `used` equals the newest capabilities, the accepted request lacked all parameters that the server has
        refused so far. In this case, the refusals are confirmed: they are stored and reported.
        """
        if tried and self.current.usage is None:
            self._leave_out(tried)
        if self.current is self._confirmed or _sendable(used) != _sendable(self.current):
            return
        facts = replace(self.current, learned=self.current.learned or time.time())
        self.current = self._confirmed = facts
        self._save(facts)
        for part in facts.accepted_in_words():
            if part not in self._said:
                self._said.add(part)
                self._say(f"{self._url} {part}")

    def take_back(self, names: frozenset[str], message: str) -> None:
        """Call this when the server also refused a request without the parameters `names`.

        These parameters were not the reason for the refusal, so later requests have them again.

        This method changes nothing if the server has accepted an earlier request without these parameters. The method
        also changes nothing if the refusal is about the model's window.
        """
        if is_about_room(message):
            return
        certain = self._confirmed
        kept = tuple(name for name in self.current.left_out if name in certain.left_out or name not in names)
        limit = self.current.limit_name
        if names & {MAX_TOKENS, MAX_COMPLETION_TOKENS}:
            limit = certain.limit_name
            kept = tuple(name for name in kept if name != MAX_TOKENS or name in certain.left_out)
        if (kept, limit) != (self.current.left_out, self.current.limit_name):
            self.current = replace(self.current, left_out=kept, limit_name=limit)

    def _leave_out(self, names: set[str] | frozenset[str]) -> None:
        self.current = self.current.without(frozenset(names))

    def _learn(self, **facts: Any) -> None:
        """Add facts that are certain, and save them.

        A refusal of a parameter is saved only after it is confirmed.
        """
        learned = self.current.learned or time.time()
        self.current = replace(self.current, **facts, learned=learned)
        left_out, limit_name = certain = _sendable(self._confirmed)
        self._confirmed = replace(self.current, left_out=left_out, limit_name=limit_name)
        if _sendable(self.current) == certain:
            self.current = self._confirmed
        self._save(self._confirmed)


def _sendable(capabilities: Capabilities) -> tuple[tuple[str, ...], str]:
    return capabilities.left_out, capabilities.limit_name


def _it(names: tuple[str, ...]) -> str:
    return "it" if len(names) == 1 else "them"
