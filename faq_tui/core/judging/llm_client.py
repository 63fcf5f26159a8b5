"""Marks out of an LLM: ask, check by the schema, ask once to repair, salvage. Every reply is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.hashing import digest
from faq_tui.core.chat.dialects.families import THINK
from faq_tui.core.endpoints import Client, Retrying, stream_chat
from faq_tui.core.judging.orders import orders
from faq_tui.core.judging.prompt import PromptBudget, ShownAnswer, labels_of, prompt_of, repair_of, shorten
from faq_tui.core.judging.reply import InvalidReplyError, parse_by_schema, salvage
from faq_tui.core.judging.rubric import PARTS, Verdict, response_format
from faq_tui.core.settings import Endpoint, Sampling
from faq_tui.core.store import Store
from faq_tui.core.store.judge_log import ReplyRow, add_reply, replies_of

REPEATED_TOKENS = 200  # of an unfit reply, when the judge is shown it again
SCHEMA, REPAIRED, SALVAGED, UNREAD = "schema", "repaired", "salvaged", "unread"


class RequestRefusedError(Exception):
    """The server refuses this very request, whatever its reason; others it may take."""


@dataclass(frozen=True)
class Reading:
    """What came of one prompt: verdicts by label, how they were read, and every reply word for word."""

    verdicts: dict[str, Verdict]
    how: str
    raws: tuple[str, ...]


@dataclass(frozen=True)
class AnswerVerdicts:
    """What came of one answer: one (place, verdict or None) for each order in which it was shown."""

    seen: tuple[tuple[int, Verdict | None], ...]
    readings: tuple[Reading, ...]

    @property
    def verdict(self) -> Verdict | None:
        """The mean over the orders that could be read; None if none could."""
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
        """What is stored beside the mark."""
        verdict = self.verdict
        return {
            "parts": {name: round(mark, 4) for name, mark in verdict.parts.items()} if verdict else {},
            "how": [reading.how for reading in self.readings],
            "orders": [[place, None if seen is None else seen.overall] for place, seen in self.seen],
        }


class JudgeClient:
    """One judge at one server. Replies that are stored already are not asked for again."""

    def __init__(self, store: Store, judge: str, client: Client, endpoint: Endpoint) -> None:
        self._store, self._judge, self._client, self._endpoint = store, judge, client, endpoint
        self._retrying = Retrying(endpoint)

    async def __call__(
        self, question: str, answers: Sequence[ShownAnswer], room: PromptBudget
    ) -> list[AnswerVerdicts]:
        """An outcome for each answer: one alone is shown once, several together in two orders.

        Raises RequestRefusedError, and what Retrying raises.
        """
        unit = digest(question, [[a.reasoning, a.answer] for a in answers])
        labels = labels_of(len(answers))
        seen: list[list[tuple[int, Verdict | None]]] = [[] for _ in answers]
        readings = []
        for turn, order in enumerate(orders(len(answers), unit)):
            text = prompt_of(question, [answers[index] for index in order], room.reasoning_tokens)
            reading = await self._read(unit, turn, text, labels, room.max_tokens)
            readings.append(reading)
            for place, index in enumerate(order):
                seen[index].append((place, reading.verdicts.get(labels[place])))
        return [AnswerVerdicts(tuple(one), tuple(readings)) for one in seen]

    async def _read(self, unit: str, turn: int, text: str, labels: tuple[str, ...], max_tokens: int) -> Reading:
        stored = replies_of(self._store, self._judge, unit, turn)
        messages = [{"role": "user", "content": text}]
        for attempt in range(2):
            if attempt == len(stored):
                stored.append(await self._ask(unit, turn, attempt, messages, labels, max_tokens))
            reply = stored[attempt]
            if not reply.error:
                how = REPAIRED if attempt else SCHEMA
                return Reading(parse_by_schema(_said(reply.raw), labels), how, tuple(row.raw for row in stored))
            messages = [
                messages[0],
                {"role": "assistant", "content": shorten(_said(reply.raw), REPEATED_TOKENS) or "(nothing)"},
                {"role": "user", "content": repair_of(reply.error, len(labels))},
            ]
        raws = tuple(row.raw for row in stored)
        found: dict[str, Verdict] = {}
        for raw in raws:  # what the repaired reply says outweighs the first
            found |= salvage(_said(raw), labels)
        return Reading(found, SALVAGED if found else UNREAD, raws)

    async def _ask(
        self,
        unit: str,
        turn: int,
        attempt: int,
        messages: list[dict[str, str]],
        labels: tuple[str, ...],
        max_tokens: int,
    ) -> ReplyRow:
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        extra = response_format(labels)
        try:
            reply = await self._retrying(
                lambda: stream_chat(self._client, self._endpoint.model, messages, sampling, sampling.seed, extra)
            )
        except FaqError as error:
            if type(error) is FaqError:  # not of the server, nor of a stop
                raise RequestRefusedError(str(error)) from None
            raise
        try:
            parse_by_schema(reply.answer, labels)
            error_text = ""
        except InvalidReplyError as error:
            error_text = str(error)
            if reply.finish_reason == "length":
                error_text = f"it was cut off at {max_tokens} tokens: be brief"
        raw = f"{THINK.open}{reply.reasoning}{THINK.close}{reply.answer}" if reply.reasoning else reply.answer
        row = ReplyRow(raw, error_text)
        add_reply(self._store, self._judge, unit, turn, attempt, row.raw, row.error)
        return row


def _said(raw: str) -> str:
    """A stored reply without the reasoning before it."""
    parts = THINK.split(raw) if raw.startswith(THINK.open) else None
    return parts[1] if parts else raw
