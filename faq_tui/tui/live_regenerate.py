"""Tokens a second over the last seconds, from deltas that come in thousands."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from io import StringIO

from faq_tui.core.run import events as e

WINDOW_S = 10.0
BUCKET_S = 0.5


class Rate:
    """Units a second over a sliding window; one number is kept for each half second."""

    def __init__(self) -> None:
        self._buckets: deque[list[float]] = deque()  # [its start, units]
        self._first: float | None = None

    def add(self, units: float, at: float) -> None:
        """`at`: unix seconds, not falling."""
        if self._buckets and at - self._buckets[-1][0] < BUCKET_S:
            self._buckets[-1][1] += units
            return
        if self._first is None:
            self._first = at
        self._buckets.append([at, units])
        while self._buckets[0][0] < at - WINDOW_S:
            self._buckets.popleft()

    def per_second(self, now: float) -> float:
        """Over the last ten seconds, or over all there has been if that is less; silence counts as zero."""
        if self._first is None:
            return 0.0
        span = min(WINDOW_S, max(now - self._first, 1.0))
        return sum(units for start, units in self._buckets if start >= now - WINDOW_S) / span


KEPT_CHARACTERS = 400_000  # of one growing part; the whole text is in the database when it is finished
KEPT_FAILURES = 10_000
GUESSED_SCALE = 0.25  # tokens a character, until a finished candidate tells

CandidateKey = tuple[str, str, int]  # seed, source, number
CandidateEvent = e.CandidateStarted | e.CandidateDelta | e.CandidateRetried | e.CandidateDone | e.CandidateFailed


class GrowingText:
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
class GrowingCandidate:
    """A candidate that is being written, or waits for its next try."""

    started: float = 0.0
    attempt: int = 0  # tries that were thrown away
    waits_until: float | None = None  # unix seconds; set between two tries
    why: str = ""  # of the last retry
    reasoning: GrowingText = field(default_factory=GrowingText)
    answer: GrowingText = field(default_factory=GrowingText)


@dataclass
class Regeneration:
    """Since the regeneration began in this job."""

    growing: dict[CandidateKey, GrowingCandidate] = field(default_factory=dict)
    failures: dict[CandidateKey, str] = field(default_factory=dict)  # why; a new try takes it out
    latest: CandidateKey | None = None  # the candidate that spoke last
    settled: int = 0
    failed: int = 0
    truncated: int = 0
    retried: int = 0
    tokens: int = 0
    learned_tokens: int = 0  # of streamed candidates that are finished,
    learned_characters: int = 0  # which tell how many characters a token has here
    characters: Rate = field(default_factory=Rate)  # streamed
    whole: Rate = field(default_factory=Rate)  # tokens of candidates whose deltas were never seen

    def tokens_per_second(self, now: float) -> float:
        """From the characters that stream: deltas hold any number of tokens, and a slow screen gets them merged."""
        scale = self.learned_tokens / self.learned_characters if self.learned_characters else GUESSED_SCALE
        return self.characters.per_second(now) * scale + self.whole.per_second(now)

    def delta(self, event: e.CandidateDelta, at: float) -> None:
        key = (event.seed_id, event.source, event.number)
        growing = self.growing.get(key)
        if growing is None:
            growing = self.growing[key] = GrowingCandidate(started=at)
        if event.reasoning:
            growing.reasoning.append(event.reasoning)
        if event.answer:
            growing.answer.append(event.answer)
        self.characters.add(len(event.reasoning) + len(event.answer), at)
        self.latest = key

    def apply(self, event: CandidateEvent, at: float) -> None:
        key = (event.seed_id, event.source, event.number)
        match event:
            case e.CandidateDelta():
                self.delta(event, at)
            case e.CandidateStarted():
                before = self.growing.get(key)
                self.growing[key] = GrowingCandidate(started=at, attempt=before.attempt if before else 0)
                self.failures.pop(key, None)
            case e.CandidateRetried():
                self.retried += 1
                self.growing[key] = GrowingCandidate(
                    started=at, attempt=event.attempt, waits_until=at + event.wait_s, why=event.reason
                )
            case e.CandidateDone():
                self._done(event, self.growing.pop(key, None), at)
            case e.CandidateFailed():
                self.growing.pop(key, None)
                self.failed += 1
                if len(self.failures) < KEPT_FAILURES:
                    self.failures[key] = event.reason

    def _done(self, event: e.CandidateDone, growing: GrowingCandidate | None, at: float) -> None:
        self.settled += 1
        self.tokens += event.completion_tokens
        self.truncated += "truncated" in event.flags
        seen = growing.reasoning.length + growing.answer.length if growing is not None else 0
        if seen and event.completion_tokens:
            self.learned_tokens += event.completion_tokens
            self.learned_characters += seen
        else:
            self.whole.add(event.completion_tokens, at)
