"""Describe events in lines of text, for the terminal or a log."""

from __future__ import annotations

import time
from collections.abc import Callable

from faq_tui.core.base.steps import BYTES
from faq_tui.core.base.text import counted, duration, sanitize, size
from faq_tui.core.run.events import (
    ActivationsReady,
    ArtefactDone,
    CandidateFailed,
    CandidateRetried,
    ClusterNodes,
    Event,
    LoopEnded,
    Note,
    Preparing,
    ReportWritten,
    SeedSkipped,
    ServerBack,
    ServerWaiting,
    SetAssembled,
    StageDone,
    StageFailed,
    StageSkipped,
    StageStarted,
    UnitDone,
    UnitFailed,
    UnitStarted,
)

SHOWN_SKIPS = 5  # maximum number of lines about skipped seeds; the summary counts all skipped seeds


class EventLines:
    """Turns events into lines of text. Not every kind of event gives a line."""

    def __init__(self) -> None:
        self._skipped = 0
        self._steps: set[str] = set()  # the steps that already have a line
        self._waiting: set[tuple[str, float]] = set()  # (URL, start time) of each outage that already has a line

    def of(self, event: Event) -> list[str]:
        if isinstance(event, SeedSkipped):
            self._skipped += 1
            if self._skipped > SHOWN_SKIPS:
                return []
        if isinstance(event, ServerWaiting):
            outage = (event.url, event.since)
            # If `gives_up` is None, another server of the source does the work. A note has already named the server
            # that is down.
            if outage in self._waiting or event.gives_up is None:
                return []
            self._waiting.add(outage)
        if isinstance(event, Preparing):
            if event.ended or event.what in self._steps:
                return []
            self._steps.add(event.what)
        # If `attempt` is 0, the candidate waits because its server is down. The event ServerWaiting gave a line about
        # this server.
        if isinstance(event, CandidateRetried) and not event.attempt:
            return []
        line = _LINES.get(type(event))
        return [sanitize(line(event))] if line else []


def _when(wait_s: float) -> str:
    """Say when the next attempt starts.

    Returns "" if the next attempt starts at once, perhaps on another server.
    """
    return f"; next try in {wait_s:.1f} s" if wait_s else ""


def _started(event: StageStarted) -> str:
    todo = f" {event.total} {event.unit}" if event.total is not None else ""
    return f"{event.stage}:{todo}{f' ({event.already} already done)' if event.already else ''} …"


def _server_waits(event: ServerWaiting) -> str:
    until = f", at most until {time.strftime('%H:%M:%S', time.localtime(event.gives_up))}" if event.gives_up else ""
    return f"  waiting for {event.url}{until} ({event.reason}); press Ctrl-C to stop"


_LINES: dict[type[Event], Callable[..., str]] = {
    StageStarted: _started,
    StageSkipped: lambda e: f"{e.stage}: {e.reason}",
    StageDone: lambda e: f"{e.stage}: done in {duration(e.seconds, exact=True)} — {e.summary}",
    StageFailed: lambda e: f"{e.stage}: stopped" if e.exit_code == 4 else f"{e.stage}: failed",
    ClusterNodes: lambda e: f"  machines of the cluster: {', '.join(e.nodes) or 'none'}",
    UnitStarted: lambda e: f"{e.unit}: on {e.node}{f', attempt {e.attempt}' if e.attempt > 1 else ''} …",
    UnitDone: lambda e: f"{e.unit}: done in {duration(e.seconds, exact=True)} — {e.summary}",
    UnitFailed: lambda e: f"{e.unit}: {'stopped' if e.exit_code == 4 else 'failed'}",
    Note: lambda e: f"  {'warning: ' if e.level == 'warning' else ''}{e.message}",
    Preparing: lambda e: f"  {e.what}{f', {size(e.total)}' if e.total and e.unit == BYTES else ''} …",
    CandidateRetried: lambda e: f"  {e.source} {e.seed_id}#{e.number}: {e.reason}{_when(e.wait_s)}",
    CandidateFailed: lambda e: f"  {e.source} {e.seed_id}#{e.number}: gave up: {e.reason}",
    LoopEnded: lambda e: (
        f"  {e.source} {e.seed_id}#{e.number}: repeats itself and was ended after {counted(e.tokens, 'token')}"
    ),
    ServerWaiting: _server_waits,
    ServerBack: lambda e: f"  {e.url} answers again after {duration(e.waited_s)}",
    SetAssembled: lambda e: f"  set {e.set}: {counted(e.samples, 'sample')}, {counted(e.tokens, 'token')}",
    ActivationsReady: lambda e: (
        f"  activations of {e.set}: {counted(e.samples, 'sample')}, {counted(e.tokens, 'token')}"
    ),
    ArtefactDone: lambda e: f"  {e.artefact}: {e.average_bits:.2f} bits a weight, {duration(e.seconds, exact=True)}",
    ReportWritten: lambda e: f"  wrote {e.path}",
    SeedSkipped: lambda e: f"  {e.path} line {e.line} {e.reason}: skipped",
}
