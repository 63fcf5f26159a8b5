"""The candidates that are being written, and the figures of the regeneration."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import StringIO

from faq_tui.core import events as e
from faq_tui.tui.rate import Rate

KEPT_CHARACTERS = 400_000  # of one growing part; the whole text is in the database when it is finished
KEPT_FAILURES = 10_000

Key = tuple[str, str, int]  # seed, source, number
CandidateEvent = e.CandidateStarted | e.CandidateDelta | e.CandidateRetried | e.CandidateDone | e.CandidateFailed


class Grown:
    """Text that grows at its end and is read from any place: both cost only the new characters."""

    def __init__(self) -> None:
        self.length = 0
        self._text = StringIO(newline="")  # newlines as they came

    def append(self, text: str) -> None:
        if self.length < KEPT_CHARACTERS:
            self.length += self._text.write(text)

    def since(self, start: int) -> str:
        self._text.seek(start)
        text = self._text.read()
        return text if len(text) == self.length - start else text[: self.length - start]

    def __str__(self) -> str:
        return self.since(0)


@dataclass(slots=True)
class Growing:
    """A candidate that is being written, or waits for its next try."""

    started: float = 0.0
    attempt: int = 0  # tries that were thrown away
    waits_until: float | None = None  # unix seconds; set between two tries
    why: str = ""  # of the last retry
    deltas: int = 0
    reasoning: Grown = field(default_factory=Grown)
    answer: Grown = field(default_factory=Grown)


@dataclass
class Regeneration:
    """Since the regeneration began in this job."""

    growing: dict[Key, Growing] = field(default_factory=dict)
    failures: dict[Key, str] = field(default_factory=dict)  # why; a new try takes it out
    latest: Key | None = None  # the candidate that spoke last
    settled: int = 0
    failed: int = 0
    truncated: int = 0
    retried: int = 0
    tokens: int = 0
    streamed_tokens: int = 0  # of finished candidates that were streamed, to learn how many a delta holds
    streamed_deltas: int = 0
    rate: Rate = field(default_factory=Rate)

    def tokens_per_second(self, now: float) -> float:
        """Deltas count as tokens until a finished candidate tells how many tokens its deltas held."""
        scale = self.streamed_tokens / self.streamed_deltas if self.streamed_deltas else 1.0
        return self.rate.per_second(now) * scale

    def delta(self, event: e.CandidateDelta, at: float) -> None:
        key = (event.seed_id, event.source, event.index)
        growing = self.growing.get(key)
        if growing is None:
            growing = self.growing[key] = Growing(started=at)
        if event.reasoning:
            growing.reasoning.append(event.reasoning)
        if event.answer:
            growing.answer.append(event.answer)
        growing.deltas += 1
        self.rate.add(1, at)
        self.latest = key

    def apply(self, event: CandidateEvent, at: float) -> None:
        key = (event.seed_id, event.source, event.index)
        match event:
            case e.CandidateDelta():
                self.delta(event, at)
            case e.CandidateStarted():
                before = self.growing.get(key)
                self.growing[key] = Growing(started=at, attempt=before.attempt if before else 0)
                self.failures.pop(key, None)
            case e.CandidateRetried():
                self.retried += 1
                self.growing[key] = Growing(
                    started=at, attempt=event.attempt, waits_until=at + event.wait_s, why=event.reason
                )
            case e.CandidateDone():
                self._done(event, self.growing.pop(key, None), at)
            case e.CandidateFailed():
                self.growing.pop(key, None)
                self.failed += 1
                if len(self.failures) < KEPT_FAILURES:
                    self.failures[key] = event.reason

    def _done(self, event: e.CandidateDone, growing: Growing | None, at: float) -> None:
        self.settled += 1
        self.tokens += event.completion_tokens
        self.truncated += "truncated" in event.flags
        if growing is not None and growing.deltas and event.completion_tokens:
            self.streamed_tokens += event.completion_tokens
            self.streamed_deltas += growing.deltas
        else:
            self.rate.add(event.completion_tokens, at)  # its server sent it whole
