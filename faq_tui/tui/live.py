"""The state of the running job, built from its events.

Panes read this state at most ten times per second and draw only what is visible. This module contains no widgets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from io import StringIO

from faq_tui.core.base.time_left import TimeLeft
from faq_tui.core.run import events as e
from faq_tui.tui.live_quantize import ArtefactLive, layers_left

KEPT_LINES = 500  # maximum number of notes that are kept
KEPT_CHARACTERS = 400_000  # maximum number of kept characters of a growing text; the database has whole texts
KEPT_FAILURES = 10_000
GUESSED_SCALE = 0.25  # assumed tokens per character until a candidate is finished
WINDOW_S, BUCKET_S = 10.0, 0.5  # length of a rate's window, and length of one slot of the window, in seconds

CandidateKey = tuple[str, str, int]  # (id of the seed, name of the source, number of the candidate)
CandidateEvent = e.CandidateStarted | e.CandidateDelta | e.CandidateRetried | e.CandidateDone | e.CandidateFailed


class Rate:
    """The number of units per second, measured over a sliding window of half-second slots."""

    def __init__(self) -> None:
        self._buckets: deque[list[float]] = deque()  # each slot is [start time, units]
        self._first: float | None = None

    def add(self, units: float, at: float) -> None:
        """Add finished units at the time `at` (unix seconds). The times of successive calls must not decrease."""
        if self._buckets and at - self._buckets[-1][0] < BUCKET_S:
            self._buckets[-1][1] += units
            return
        if self._first is None:
            self._first = at
        self._buckets.append([at, units])
        while self._buckets[0][0] < at - WINDOW_S:
            self._buckets.popleft()

    def per_second(self, now: float) -> float:
        """Return the mean rate over the last ten seconds, in units per second.

        If the first unit was finished less than ten seconds ago, return the mean rate since then.
        """
        if self._first is None:
            return 0.0
        span = min(WINDOW_S, max(now - self._first, 1.0))
        return sum(units for start, units in self._buckets if start >= now - WINDOW_S) / span


class GrowingText:
    """Text that grows at its end.

    Appending or reading new characters takes the same time for short and long texts.
    """

    def __init__(self) -> None:
        self.length = 0
        self._text = StringIO(newline="")  # newline="" prevents that StringIO converts line ends

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
    """A candidate that is being generated or is waiting for its next try."""

    started: float = 0.0
    attempt: int = 0  # number of discarded tries
    waits_until: float | None = None  # time of the next try in unix seconds; set between two tries
    why: str = ""  # reason for the last retry
    reasoning: GrowingText = field(default_factory=GrowingText)
    answer: GrowingText = field(default_factory=GrowingText)


@dataclass
class Regeneration:
    """The candidates that are being generated, and the totals since this job began to generate candidates."""

    growing: dict[CandidateKey, GrowingCandidate] = field(default_factory=dict)
    failures: dict[CandidateKey, str] = field(default_factory=dict)  # maps a failed candidate to the reason
    latest: CandidateKey | None = None  # the candidate that received text last
    settled: int = 0
    failed: int = 0
    unusable: int = 0  # number of candidates with at least one flag
    retried: int = 0
    retries: dict[str, int] = field(default_factory=dict)  # number of retries by reason
    retried_why: dict[CandidateKey, str] = field(default_factory=dict)  # the reason for a candidate's last retry
    tokens: int = 0
    # Numbers of tokens and characters of all finished streamed candidates, to estimate the tokens per character.
    learned_tokens: int = 0
    learned_characters: int = 0
    most_growing: int = 0  # the largest number of candidates that were generated at the same time
    characters: Rate = field(default_factory=Rate)  # streamed characters
    whole: Rate = field(default_factory=Rate)  # tokens of finished candidates whose text was not streamed to the app

    def tokens_per_second(self, now: float) -> float:
        """Estimate the tokens per second from the streamed characters, because a delta can hold several tokens."""
        scale = self.learned_tokens / self.learned_characters if self.learned_characters else GUESSED_SCALE
        return self.characters.per_second(now) * scale + self.whole.per_second(now)

    def delta(self, event: e.CandidateDelta, at: float) -> None:
        key = (event.seed_id, event.source, event.number)
        growing = self.growing.get(key)
        if growing is None:
            growing = self.growing[key] = GrowingCandidate(started=at)
            self.most_growing = max(self.most_growing, len(self.growing))
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
                attempt, why = (before.attempt, before.why) if before else (0, "")
                self.growing[key] = GrowingCandidate(started=at, attempt=attempt, why=why)
                self.most_growing = max(self.most_growing, len(self.growing))
                self.failures.pop(key, None)
            case e.CandidateRetried():
                self.retried += 1
                e.count_reason(self.retries, event.reason)
                if len(self.retried_why) < KEPT_FAILURES or key in self.retried_why:
                    self.retried_why[key] = event.reason
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

    def add(self, totals: e.CandidateTotals) -> None:
        """Count candidates whose own events are not in the file any more."""
        self.settled += totals.settled
        self.failed += totals.failed
        self.unusable += totals.unusable or totals.truncated
        self.retried += totals.retried
        for reason, count in totals.retries.items():
            e.count_reason(self.retries, reason, count)
        self.tokens += totals.tokens

    def _done(self, event: e.CandidateDone, growing: GrowingCandidate | None, at: float) -> None:
        self.settled += 1
        self.tokens += event.completion_tokens
        self.unusable += bool(event.flags)
        seen = growing.reasoning.length + growing.answer.length if growing is not None else 0
        if seen and event.completion_tokens:
            self.learned_tokens += event.completion_tokens
            self.learned_characters += seen
        else:
            self.whole.add(event.completion_tokens, at)


@dataclass
class StageLive:
    """The newest stage of the job."""

    stage: str
    total: int | None = None
    done: int = 0
    unit: str = ""
    detail: str = ""
    started: float = 0.0
    state: str = "running"  # "running", "done", "failed" or "stopped"
    message: str = ""
    already: int = 0  # units that were already done when the stage began
    time_left: TimeLeft = field(default_factory=TimeLeft)

    @property
    def finished(self) -> int:
        """The number of finished units, with those that were already done when the stage began."""
        return self.already + self.done

    @property
    def all_units(self) -> int:
        """The number of all units; 0 if it is not known."""
        return self.already + self.total if self.total is not None else 0

    def per_second(self, now: float, at_least: int = 0) -> float | None:
        """Units per second. The time to load a model is not counted.

        None if the rate is not known yet, or if fewer than `at_least` units are done.
        """
        return self.time_left.per_second(self.total or 0, now, at_least)

    def seconds_left(self, now: float, at_least: int = 0) -> float | None:
        """Seconds left, estimated from the rate.

        None if the rate is not known yet, or if fewer than `at_least` units are done.
        """
        if self.state != "running" or not self.total:
            return None
        return self.time_left.seconds(self.total, now, at_least)


@dataclass
class LiveState:
    """Everything that the panes show about the running job.

    Every event increases `version`. A pane redraws only if `version` has changed.
    """

    version: int = 0
    stages: tuple[str, ...] = ()  # the stages of the running job in their order; () if no job runs, or in a replay
    stage: StageLive | None = None
    regeneration: Regeneration = field(default_factory=Regeneration)
    artefacts: dict[str, ArtefactLive] = field(default_factory=dict)
    waiting: dict[str, e.ServerWaiting] = field(default_factory=dict)  # servers that are down, by URL
    # The steps that run now, before the stage's first unit of work. Each step maps to (its start time, its last
    # report). A step inside another step comes after it.
    steps: dict[str, tuple[float, e.Preparing]] = field(default_factory=dict)
    machines: tuple[str, ...] = ()  # the machines of the cluster, in words
    placed: dict[str, str] = field(default_factory=dict)  # maps a unit to the machine of the cluster that works on it
    measured: int = 0  # number of finished measurements
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))  # notes for the log view

    @property
    def growing(self) -> dict[CandidateKey, GrowingCandidate]:
        return self.regeneration.growing

    @property
    def latest(self) -> CandidateKey | None:
        return self.regeneration.latest

    def is_running(self, stage: str) -> bool:
        return self.stage is not None and self.stage.stage == stage and self.stage.state == "running"

    def when(self, stage: str) -> str:
        """When the stage runs, as the end of a sentence about the stage. "" if it is unknown, as in a replay."""
        if self.is_running(stage):
            return "it is running now"
        current = self.stage.stage if self.stage is not None else ""
        if stage in self.stages:
            following = self.stages[self.stages.index(current) + 1 :] if current in self.stages else self.stages
            return "it comes later in the running job" if stage in following else "the running job has finished it"
        if self.stages:
            return "the running job does not include it"
        return "" if self.is_running(current) else "r starts it"

    def seconds_left(self, now: float) -> float | None:
        """Estimate the seconds left from the layers of the current artefacts, or from the stage's units.

        All parts of the screen show this estimate. The result is None if no estimate is possible yet.
        """
        artefacts = self.running_artefacts()
        if artefacts and all(artefact.layers for artefact in artefacts):
            return layers_left(artefacts, now)
        return self.stage.seconds_left(now, self._at_least) if self.stage is not None else None

    def per_second(self, now: float) -> float | None:
        """The rate of the stage in units per second. None if it is not known yet."""
        return self.stage.per_second(now, self._at_least) if self.stage is not None else None

    @property
    def _at_least(self) -> int:
        """The number of units that must be done for an estimate.

        The first finished candidates are the shortest ones, so they are not typical.
        """
        return self.regeneration.most_growing if self.is_running("regenerate") else 0

    def running_artefacts(self) -> list[ArtefactLive]:
        """The artefacts that are being quantized now, the oldest first."""
        if not self.is_running("quantize"):
            return []
        return [artefact for artefact in self.artefacts.values() if artefact.seconds is None and not artefact.failed]

    def running_artefact(self) -> ArtefactLive | None:
        """The newest of the artefacts that are being quantized now."""
        return next(reversed(self.running_artefacts()), None)

    def lost(self, message: str) -> None:
        """Mark the running stage as failed, because the job's process has gone without recording the stage's end."""
        self.version += 1
        if self.stage is not None and self.stage.state == "running":
            self.stage.state, self.stage.message = "failed", message
        self.waiting.clear()
        self.steps.clear()
        self.growing.clear()

    def apply(self, event: e.Event, at: float) -> None:
        """Apply one event. `at` is the time of the event in unix seconds."""
        self.version += 1
        # Thousands of CandidateDelta events can arrive in a second, so this type is handled first. Other events are
        # rare.
        if type(event) is e.CandidateDelta:
            self.regeneration.delta(event, at)
            return
        match event:
            case e.CandidateStarted() | e.CandidateRetried() | e.CandidateDone() | e.CandidateFailed():
                self.regeneration.apply(event, at)
            case e.CandidateTotals():
                self.regeneration.add(event)
            case e.StageStarted() | e.StageProgress() | e.StageDone() | e.StageFailed():
                self._stage(event, at)
            case e.MeasurementReady():
                self.measured += 1
            case e.ClusterNodes():
                self.machines = event.nodes
            case e.UnitStarted():
                self.placed[event.unit] = event.node
            case e.Preparing(ended=True):
                self.steps.pop(event.what, None)
            case e.Preparing():
                self.steps[event.what] = self.steps.get(event.what, (at,))[0], event
            case e.ServerWaiting():
                self.waiting[event.url] = event
            case e.ServerBack():
                self.waiting.pop(event.url, None)
                if self.stage is not None:
                    self.stage.time_left.pause(event.waited_s, at)
            case e.Note():
                self.lines.append(event.message)
            case e.ArtefactStarted():
                # Remove an earlier try of this artefact, so that the newest try comes last.
                self.artefacts.pop(event.artefact, None)
                self.artefacts[event.artefact] = ArtefactLive(
                    event.artefact, event.layers, at, event.samples, event.tokens
                )
            case e.LayerStarted() | e.ModuleQuantized() | e.LayerDone() | e.ArtefactDone():
                if artefact := self.artefacts.get(event.artefact):
                    artefact.apply(event, at)
            case _:
                pass

    def _end_others(self, made: Collection[str]) -> None:
        """Mark unfinished artefacts as failed, except those with a name in `made`. No event says that an artefact
        has failed, but each StageProgress names all artefacts that are being made."""
        for artefact in self.artefacts.values():
            artefact.failed = artefact.failed or (artefact.seconds is None and artefact.name not in made)

    def _stage(self, event: e.StageStarted | e.StageProgress | e.StageDone | e.StageFailed, at: float) -> None:
        if not isinstance(event, e.StageProgress):
            self.waiting.clear()
            self.steps.clear()
        match event:
            case e.StageStarted():
                self.stage = StageLive(event.stage, event.total, 0, event.unit, started=at, already=event.already)
                if event.stage == "regenerate":
                    self.regeneration = Regeneration()
                if event.stage == "quantize":
                    self._end_others(())
            case e.StageProgress() if self.stage:
                self.stage.done, self.stage.total, self.stage.detail = event.done, event.total, event.detail
                self.stage.time_left.report(event.done, at)
                if event.stage == "quantize":
                    self._end_others(event.detail.split(", "))
            case e.StageDone() if self.stage:
                self.stage.state, self.stage.message = "done", event.summary
                self.growing.clear()
            case e.StageFailed():
                if self.stage is None or self.stage.stage != event.stage:
                    self.stage = StageLive(event.stage, started=at)
                self.stage.state = "stopped" if event.exit_code == 4 else "failed"
                self.stage.message = event.message
                self.growing.clear()
            case _:
                pass


def with_time(sentence: str, when: str) -> str:
    """The sentence with the time when its stage runs (`LiveState.when`). `sentence` has no full stop."""
    return f"{sentence}; {when}." if when else f"{sentence}."
