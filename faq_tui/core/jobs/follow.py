"""Reading a job's `events.jsonl` from its start, and on as it grows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from faq_tui.core.jobs.state import is_running
from faq_tui.core.run.events import KINDS, Event
from faq_tui.core.run.job_record import Job

Timed = tuple[Event, float]  # an event, and its unix seconds

_FIELDS = {name: frozenset(field.name for field in fields(kind)) for name, kind in KINDS.items()}

# How `to_json` begins its lines. Most lines are deltas: these need not be parsed to be told apart.
_DELTA = b'{"event": "CandidateDelta"'
_SETTLES = tuple(f'{{"event": "Candidate{how}"'.encode() for how in ("Done", "Retried", "Failed"))


def follow(
    job: Job, stopped: threading.Event, poll_s: float = 0.1, skip_settled: bool = False
) -> Iterator[Timed | None]:
    """Every event of the job in order, from its first; None whenever there is nothing new for `poll_s`.

    Ends when the job has ended and all is read, or `stopped` is set. `skip_settled` leaves out the deltas of
    candidates that were whole, failed or thrown away when the following began: the database has the whole ones.
    """
    settled = _settled(job.events, stopped) if skip_settled else {}
    while not job.events.exists():
        if stopped.is_set() or not is_running(job):
            return
        yield None
        stopped.wait(poll_s)
    with job.events.open("rb") as file:
        half, offset = b"", 0
        while not stopped.is_set():
            running = is_running(job)  # before reading: what it wrote last is then read
            while (line := file.readline()) and not stopped.is_set():
                offset += len(line)
                half += line
                if not half.endswith(b"\n"):
                    continue  # at the end of the file: the rest comes, or never does
                line, half = half, b""
                if settled and line.startswith(_DELTA) and offset < settled.get(_candidate(line), 0):
                    continue
                event = timed_event(line)
                if event is not None:
                    yield event
            if not running:
                return
            yield None
            stopped.wait(poll_s)


def timed_event(line: bytes) -> Timed | None:
    """The event of one line; None for a line that is none, or of a kind that this version does not know."""
    try:
        body = json.loads(line)
        name = body["event"]
        known, at = _FIELDS[name], float(body["time"])
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in body.items() if k in known}
        return KINDS[name](**values), at
    except (ValueError, KeyError, TypeError):
        return None


def _settled(path: Path, stopped: threading.Event) -> dict[bytes, int]:
    """Where in the file each candidate's last end stands."""
    found: dict[bytes, int] = {}
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                offset += len(line)
                if line.startswith(_SETTLES):
                    found[_candidate(line)] = offset
                if stopped.is_set():
                    break
    except FileNotFoundError:
        pass
    return found


def _candidate(line: bytes) -> bytes:
    """The `"seed_id": …, "source": …, "index": N` of a line: the same bytes for the same candidate."""
    begin = line.find(b'"seed_id": ')
    return line[begin : line.find(b", ", line.find(b', "index": ', begin) + 2)]
