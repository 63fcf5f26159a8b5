"""The events that the pipeline emits, and their form as lines of JSON.

All consumers (the CLI's bars, `--json`, a job's `events.jsonl`, the app) read only these events. The texts in events
come from models, files and servers, so every consumer must pass them through `sanitize` before it shows them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Event:
    """(event, Unix time of the event in seconds)"""


Emit = Callable[[Event], None]
Timed = tuple[Event, float]  # (event, time of the event in Unix seconds)


@dataclass(frozen=True)
class StageStarted(Event):
    stage: str
    total: int | None  # units of work that this call of the stage has to do; None if not known yet
    unit: str
    already: int = 0  # further units of work, which were done before this call


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
    """A sentence for the person; level is `info` or `warning`."""

    message: str
    level: str = "info"


@dataclass(frozen=True)
class Preparing(Event):
    """Work that comes before the units of a stage: a download, a conversion, loading a model, or building a kernel.

    This event is sent again when `done` has grown, and once more when the work has ended.
    """

    what: str
    done: int
    total: int | None  # None if the amount is not known
    unit: str  # "bytes" or "tokens"; "" if the work is not measured
    ended: bool


@dataclass(frozen=True)
class ServerWaiting(Event):
    """A server is down.

    This event is sent again whenever the time of the next probe changes. Times are Unix seconds.
    """

    url: str
    reason: str
    since: float
    next_probe: float
    # the stage fails at this time if the server is still down; None if another server of the source is up
    gives_up: float | None


@dataclass(frozen=True)
class ServerBack(Event):
    """A server that was down answers again."""

    url: str
    waited_s: float


@dataclass(frozen=True)
class SeedSkipped(Event):
    path: str
    line: int  # number of the line, from 1; in a JSON array or Parquet file, number of the row
    reason: str


@dataclass(frozen=True)
class CandidateStarted(Event):
    """A request for this candidate was sent. For each seed and source, `number` counts from 1."""

    seed_id: str
    source: str
    number: int


@dataclass(frozen=True)
class CandidateDelta(Event):
    """New text of a candidate since the previous event of this class."""

    seed_id: str
    source: str
    number: int
    reasoning: str
    answer: str


@dataclass(frozen=True)
class CandidateDone(Event):
    seed_id: str
    source: str
    number: int
    candidate_id: int
    completion_tokens: int
    seconds: float
    flags: tuple[str, ...]  # reasons why the candidate is unusable; empty if it is usable


@dataclass(frozen=True)
class CandidateRetried(Event):
    """An attempt to generate a candidate failed.

    The text of the failed attempt is dropped. The next attempt starts after `wait_s` seconds.
    """

    seed_id: str
    source: str
    number: int
    attempt: int
    wait_s: float
    reason: str


@dataclass(frozen=True)
class LoopEnded(Event):
    """A candidate repeated itself, so faq-tui ended the candidate's stream.

    Ending the stream saved at most `saved_tokens` tokens.
    """

    seed_id: str
    source: str
    number: int
    tokens: int
    saved_tokens: int


@dataclass(frozen=True)
class CandidateFailed(Event):
    seed_id: str
    source: str
    number: int
    reason: str


@dataclass(frozen=True)
class CandidateTotals(Event):
    """Counts of candidates of the current stage, in place of their events (see `event_file.py`)."""

    settled: int
    failed: int
    truncated: int  # written by older versions in place of `unusable`; now always 0
    retried: int
    tokens: int
    retries: dict[str, int] = field(default_factory=dict)  # number of retries by reason; empty in older files
    unusable: int = 0


MOST_REASONS = 20  # largest number of reasons that are counted apart


def count_reason(counts: dict[str, int], reason: str, times: int = 1) -> None:
    """Add `times` to the count of this reason. If there are too many reasons, new ones are counted as others."""
    if reason not in counts and len(counts) >= MOST_REASONS:
        reason = "other reasons"
    counts[reason] = counts.get(reason, 0) + times


@dataclass(frozen=True)
class ScoreReady(Event):
    seed_id: str
    source: str
    candidate_id: int
    judge: str
    score: float | None  # None if the judge could not score the candidate
    reason: str


@dataclass(frozen=True)
class UnitStarted(Event):
    """A unit begins on a machine. `attempt` counts from 1; it grows if a machine of a cluster is lost."""

    unit: str
    node: str  # name of the machine
    attempt: int


@dataclass(frozen=True)
class UnitDone(Event):
    unit: str
    seconds: float
    summary: str


@dataclass(frozen=True)
class UnitFailed(Event):
    unit: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class ClusterNodes(Event):
    """The machines of the cluster. This event is sent when the job has connected, and when machines come or go."""

    nodes: tuple[str, ...]  # name and resources of each machine, in words


@dataclass(frozen=True)
class SetAssembled(Event):
    set: str
    samples: int
    tokens: int
    refused: int


@dataclass(frozen=True)
class ActivationsReady(Event):
    """The target's activations on a set were measured. The set's file under activations/ is complete."""

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
    loss: float | None  # None if the quantizer returned no loss; then `note` gives the reason
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
    text: str  # name of the held-out text
    metric: str
    value: float


@dataclass(frozen=True)
class ReportWritten(Event):
    path: str


KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}

_KEYS = {"number": "index"}  # in lines of JSON, the field `number` is called "index"
_FIELDS = {name: {_KEYS.get(f.name, f.name): f.name for f in fields(kind)} for name, kind in KINDS.items()}


def to_json(event: Event, at: float | None = None) -> str:
    """The event as one line of JSON: `{"event": <class>, "time": <unix seconds>, ...fields}`."""
    name = type(event).__name__
    body: dict[str, Any] = {"event": name, "time": round(time.time() if at is None else at, 3)}
    for key, attribute in _FIELDS[name].items():
        body[key] = getattr(event, attribute)
    return json.dumps(body, ensure_ascii=False)


def from_json(line: str | bytes) -> Timed:
    """Read (event, its time) from a line that `to_json` wrote.

    Raises ValueError if the line is incomplete, or if this version does not know the kind of event.
    """
    body = json.loads(line)
    try:
        name = body["event"]
        field_of = _FIELDS.get(name)
        if field_of is None:
            raise ValueError(f"no such event: {name!r}")
        values = {field_of[k]: tuple(v) if isinstance(v, list) else v for k, v in body.items() if k in field_of}
        return KINDS[name](**values), float(body["time"])
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"the line is not an event: {error}") from None


# Most lines of a long file are events of the class CandidateDelta. To be fast, the code below compares only the first
# bytes of a line and does not parse the line.


def line_start(kind: type[Event]) -> bytes:
    """The first bytes of each line that holds an event of the class `kind`."""
    return f'{{"event": "{kind.__name__}"'.encode()


DELTA_LINE = line_start(CandidateDelta)
STAGE_LINES = tuple(map(line_start, (StageStarted, StageSkipped, StageDone, StageFailed)))


def candidate_of_line(line: bytes) -> bytes:
    """The part `"seed_id": …, "source": …, "index": N` of a candidate's line, which identifies the candidate."""
    begin = line.find(b'"seed_id": ')
    end = line.find(b", ", line.find(b', "index": ', begin) + 2)
    return line[begin : end if end >= 0 else line.rfind(b"}")]
