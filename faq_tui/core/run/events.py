"""What the pipeline says while it works: frozen dataclasses, one JSON object each on the wire.

Every consumer (the CLI's bars, `--json`, a job's `events.jsonl`, the app) reads these and nothing else.
Text in them comes from models, files and servers: show it as literal text only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base of all events."""


Emit = Callable[[Event], None]


@dataclass(frozen=True)
class StageStarted(Event):
    stage: str
    total: int | None  # units of work still to do; None if not known yet
    unit: str
    already: int = 0  # units found finished from an earlier run


@dataclass(frozen=True)
class StageProgress(Event):
    stage: str
    done: int
    total: int | None
    detail: str = ""


@dataclass(frozen=True)
class StageSkipped(Event):
    stage: str
    reason: str


@dataclass(frozen=True)
class StageDone(Event):
    stage: str
    seconds: float
    summary: str


@dataclass(frozen=True)
class StageFailed(Event):
    stage: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class Note(Event):
    """Something a person should read: level is `info` or `warning`."""

    message: str
    level: str = "info"


@dataclass(frozen=True)
class SeedSkipped(Event):
    path: str
    line: int  # 1-based; for JSON arrays and Parquet, the row
    reason: str


@dataclass(frozen=True)
class CandidateStarted(Event):
    seed_id: str
    source: str
    index: int


@dataclass(frozen=True)
class CandidateDelta(Event):
    """New text of one growing candidate since its last delta."""

    seed_id: str
    source: str
    index: int
    reasoning: str
    answer: str


@dataclass(frozen=True)
class CandidateDone(Event):
    seed_id: str
    source: str
    index: int
    candidate_id: int
    completion_tokens: int
    seconds: float
    flags: tuple[str, ...]  # empty: fit to be picked


@dataclass(frozen=True)
class CandidateRetried(Event):
    """The half answer is thrown away; the next try starts after `wait_s`."""

    seed_id: str
    source: str
    index: int
    attempt: int
    wait_s: float
    reason: str


@dataclass(frozen=True)
class CandidateFailed(Event):
    seed_id: str
    source: str
    index: int
    reason: str


@dataclass(frozen=True)
class ScoreReady(Event):
    seed_id: str
    source: str
    candidate_id: int
    judge: str
    score: float | None  # None: unscored, never zero
    reason: str


@dataclass(frozen=True)
class SetAssembled(Event):
    set: str
    samples: int
    tokens: int
    refused: int


@dataclass(frozen=True)
class ActivationsReady(Event):
    """A set went through the target; its file under activations/ is whole."""

    set: str
    samples: int
    tokens: int


@dataclass(frozen=True)
class ArtefactStarted(Event):
    artefact: str
    layers: int
    samples: int
    tokens: int


@dataclass(frozen=True)
class LayerStarted(Event):
    artefact: str
    layer: int
    modules: tuple[str, ...]


@dataclass(frozen=True)
class ModuleQuantized(Event):
    artefact: str
    layer: int
    module: str
    loss: float | None  # None: the quantizer gave no number, `note` says what it did instead
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class LayerDone(Event):
    artefact: str
    layer: int


@dataclass(frozen=True)
class ArtefactDone(Event):
    artefact: str
    folder: str
    seconds: float
    average_bits: float


@dataclass(frozen=True)
class MeasurementReady(Event):
    subject: str  # an artefact's name, or `unquantized`
    text: str  # the held-out text it was measured on
    metric: str
    value: float


@dataclass(frozen=True)
class ReportWritten(Event):
    path: str


KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}


def to_json(event: Event, at: float | None = None) -> str:
    """One line: `{"event": <class>, "time": <unix seconds>, ...fields}`."""
    body = {
        "event": type(event).__name__,
        "time": round(time.time() if at is None else at, 3),
        **asdict(event),
    }
    return json.dumps(body, ensure_ascii=False)


def from_json(line: str) -> Event:
    """The event of one line of `to_json`. Raises ValueError on a line that is none."""
    body: dict[str, Any] = json.loads(line)
    kind = KINDS.get(body.get("event", ""))
    if kind is None:
        raise ValueError(f"no such event: {body.get('event')!r}")
    known = {field.name for field in fields(kind)}
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in body.items() if name in known
    }
    return kind(**values)
