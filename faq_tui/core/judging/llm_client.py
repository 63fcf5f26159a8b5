"""Ask one LLM judge at one server for scores.

Replies are checked against a schema. If a reply does not fit the schema, the judge is asked once to repair it. If the
repaired reply does not fit the schema either, the scores that can be found in the text are used. No repair is
requested if the server supports no form of JSON and its first reply holds all scores.

Every reply is stored, and the same request is never sent again. If a prompt shows several answers, the judge gets
them in two random orders, because judges favour the first position.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.hashing import digest
from faq_tui.core.chat.dialects.families import THINK
from faq_tui.core.endpoints import Client, Pool, Reply, Retrying, stream_chat
from faq_tui.core.endpoints.finish import TRUNCATED, ending_of
from faq_tui.core.judging.prompt import PromptBudget, ShownAnswer, labels_of, prompt_of, repair_of, shorten
from faq_tui.core.judging.reply import PARTS, InvalidReplyError, Verdict, parse_by_schema, salvage, schema
from faq_tui.core.judging.reply_form import TEXT, ReplyForm
from faq_tui.core.settings import Endpoint, Sampling
from faq_tui.core.store import Store
from faq_tui.core.store.judge_log import ReplyKey, ReplyRow, add_reply, replies_of

TURNS = 2  # number of orders in which several answers are shown
REPEATED_TOKENS = 200  # The repair request repeats at most this number of tokens of the invalid reply.
SCHEMA, REPAIRED, SALVAGED, UNREAD = "schema", "repaired", "salvaged", "unread"


class RequestRefusedError(Exception):
    """The server refuses this request, but it may accept other requests."""


@dataclass(frozen=True)
class Reading:
    """The result of one prompt: verdicts by label, how the verdicts were read, and the full text of every reply."""

    verdicts: dict[str, Verdict]
    how: str
    raws: tuple[str, ...]


@dataclass(frozen=True)
class AnswerVerdicts:
    """The verdicts on one answer.

    `seen` has (position, verdict or None) for each order in which the answer was shown.
    """

    seen: tuple[tuple[int, Verdict | None], ...]
    readings: tuple[Reading, ...]

    @property
    def verdict(self) -> Verdict | None:
        """The mean verdict over the orders whose reply could be read; None if no reply could be read."""
        read = [verdict for _, verdict in self.seen if verdict is not None]
        if not read:
            return None
        parts = {part: fmean(v.parts[part] for v in read) for part in PARTS if all(part in v.parts for v in read)}
        reasons = list(dict.fromkeys(v.reason.strip() for v in read if v.reason.strip()))
        return Verdict(fmean(v.overall for v in read), parts, " / ".join(reasons))

    @property
    def raw(self) -> str:
        return "\n\n".join(raw for reading in self.readings for raw in reading.raws[-1:])

    def details(self) -> dict[str, object]:
        """The details that are stored with the score."""
        verdict = self.verdict
        return {
            "parts": {name: round(score, 4) for name, score in verdict.parts.items()} if verdict else {},
            "how": [reading.how for reading in self.readings],
            "orders": [[position, None if seen is None else seen.overall] for position, seen in self.seen],
        }


class JudgeClient:
    """One judge at one server. If a reply is stored, no new request is sent."""

    def __init__(
        self,
        store: Store,
        judge: str,
        client: Client,
        endpoint: Endpoint,
        pool: Pool,
        rubric: str | None = None,
    ) -> None:
        """`judge` is the id under which the judge's scores are stored.

        `rubric` replaces the criteria in faq-tui's prompt.
        """
        self._store, self._judge, self._client, self._endpoint = store, judge, client, endpoint
        self._rubric = rubric
        self._retrying = Retrying(endpoint, pool)
        self._form = ReplyForm(client.learned.current.reply_format, client.learned.replied_as)

    async def __call__(
        self, question: str, answers: Sequence[ShownAnswer], budget: PromptBudget
    ) -> list[AnswerVerdicts]:
        """The verdicts on each answer.

        A single answer is shown once. Several answers are shown together, in two orders.

        Raises RequestRefusedError if the server refuses the request. All errors of `Retrying` are also possible.
        """
        unit = digest(question, [[a.reasoning, a.answer] for a in answers])
        labels = labels_of(len(answers))
        seen: list[list[tuple[int, Verdict | None]]] = [[] for _ in answers]
        readings = []
        for turn, order in enumerate(orders(len(answers), unit)):
            shown = [answers[index] for index in order]
            text = prompt_of(question, shown, budget.reasoning_tokens, self._rubric)
            reading = await self._read(ReplyKey(self._judge, unit, turn), text, labels, budget.max_tokens)
            readings.append(reading)
            for position, index in enumerate(order):
                seen[index].append((position, reading.verdicts.get(labels[position])))
        return [AnswerVerdicts(tuple(one), tuple(readings)) for one in seen]

    async def _read(self, key: ReplyKey, text: str, labels: tuple[str, ...], max_tokens: int) -> Reading:
        stored = replies_of(self._store, key)
        messages = [{"role": "user", "content": text}]
        for attempt in range(2):
            if attempt == len(stored):
                stored.append(await self._ask(messages, labels, max_tokens))
                add_reply(self._store, key, attempt, stored[attempt])
            reply = stored[attempt]
            if not reply.error:
                how = REPAIRED if attempt else SCHEMA
                return Reading(
                    parse_by_schema(_without_reasoning(reply.raw), labels), how, tuple(row.raw for row in stored)
                )
            if self._form.form == TEXT and len(found := salvage(_without_reasoning(reply.raw), labels)) == len(
                labels
            ):
                return Reading(found, SALVAGED, tuple(row.raw for row in stored))
            messages = [
                messages[0],
                {
                    "role": "assistant",
                    "content": shorten(_without_reasoning(reply.raw), REPEATED_TOKENS) or "(nothing)",
                },
                {"role": "user", "content": repair_of(reply.error, len(labels))},
            ]
        raws = tuple(row.raw for row in stored)
        verdicts: dict[str, Verdict] = {}
        for raw in raws:  # the verdicts of the second, repaired reply replace those of the first reply
            verdicts |= salvage(_without_reasoning(raw), labels)
        return Reading(verdicts, SALVAGED if verdicts else UNREAD, raws)

    async def _ask(self, messages: list[dict[str, str]], labels: tuple[str, ...], max_tokens: int) -> ReplyRow:
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        switch = {"chat_template_kwargs": {"enable_thinking": False}}

        async def send(form: dict[str, Any]) -> Reply:
            extra = {**form, **switch}
            return await stream_chat(
                self._client, self._endpoint.model, messages, sampling, sampling.first_seed, extra
            )

        try:
            reply = await self._retrying(lambda _server: self._form(send, schema(labels)))
        except FaqError as error:
            # FaqError itself means that the server refused the request; its subclasses mean a failed server or a stop
            if type(error) is FaqError:
                raise RequestRefusedError(str(error)) from None
            raise
        try:
            parse_by_schema(reply.answer, labels)
            error_text = ""
        except InvalidReplyError as error:
            error_text = str(error)
            if ending_of(reply.finish_reason) == TRUNCATED:
                error_text = f"it was cut off at {max_tokens} tokens: be brief"
        if len(messages) == 1 and ending_of(reply.finish_reason) != TRUNCATED:
            self._form.read(fits=not error_text)
        raw = f"{THINK.open}{reply.reasoning}{THINK.close}{reply.answer}" if reply.reasoning else reply.answer
        return ReplyRow(raw, error_text)


def orders(count: int, key: str) -> tuple[tuple[int, ...], ...]:
    """Two random orders of `count` answers. No answer has the same position in both orders.

    The orders depend only on the key and `count`. Entry p of an order is the index of the answer that is shown at
    position p. For a single answer, only one order is returned.
    """
    if count < 2:
        return (tuple(range(count)),)
    dice = random.Random(key)
    first = list(range(count))
    dice.shuffle(first)
    by = dice.randrange(1, count)
    return tuple(first), tuple(first[by:] + first[:by])


def _without_reasoning(raw: str) -> str:
    """The stored reply without the reasoning at its beginning."""
    parts = THINK.split(raw) if raw.startswith(THINK.open) else None
    return parts[1] if parts else raw
