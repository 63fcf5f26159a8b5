"""Stages in the foreground: Ctrl-C, and events as progress bars, as lines on stderr, or as JSON on stdout."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode
from faq_tui.core.base.text import duration, sanitize
from faq_tui.core.run.events import (
    ActivationsReady,
    ArtefactDone,
    CandidateFailed,
    CandidateRetried,
    Emit,
    Event,
    Note,
    ReportWritten,
    SeedSkipped,
    SetAssembled,
    StageDone,
    StageFailed,
    StageSkipped,
    StageStarted,
    to_json,
)
from faq_tui.core.run.run import open_run
from faq_tui.core.stages.pipeline import run_pipeline

SHOWN_SKIPS = 5  # of skipped seeds; the summary counts them all


def run_in_foreground(
    folder: Path, only: str | None, until: str | None, as_json: bool, confirmed: bool = False
) -> None:
    """Run the stages of the run in `folder`. Raises FaqError."""
    with open_run(folder) as run, stop_on_signals() as cancel, event_output(as_json) as emit:
        run_pipeline(run, emit, cancel, only, until, confirmed=confirmed)


@contextmanager
def stop_on_signals() -> Iterator[CancelToken]:
    """The first Ctrl-C (or SIGTERM) asks to stop at the next safe point; the second leaves at once.

    Leaving at once loses only what was unfinished: everything finished is on disk, and child processes end
    with this one.
    """
    cancel = CancelToken()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if cancel.is_set:
            os._exit(ExitCode.STOPPED)
        cancel.set()
        # Past the stream's buffer: this may have interrupted a write to it.
        os.write(2, b"\nfaq-tui: stopping; finished work is kept (Ctrl-C again leaves at once)\n")

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def event_output(as_json: bool) -> Iterator[Emit]:
    """The `emit` of a pipeline: progress bars on a terminal, else lines; with `as_json` also JSON on stdout."""
    if sys.stderr.isatty() and not as_json:
        from faq_tui.cli.progress_bars import Bars

        with Bars(EventLines()) as bars:
            yield bars.show
        return
    lines = EventLines()
    listened_to = as_json

    def plain(event: Event) -> None:
        nonlocal listened_to
        if listened_to:
            try:
                print(to_json(event), flush=True)
            except BrokenPipeError:  # `| head`: the work goes on without its reader
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                listened_to = False
        for line in lines.of(event):
            print(line, file=sys.stderr, flush=True)

    yield plain


class EventLines:
    """The lines that stay on the screen, or in a log, for the events that deserve one."""

    def __init__(self) -> None:
        self._skipped = 0

    def of(self, event: Event) -> list[str]:
        if isinstance(event, SeedSkipped):
            self._skipped += 1
            if self._skipped > SHOWN_SKIPS:
                return []
        line = _LINES.get(type(event))
        return [sanitize(line(event))] if line else []


def _when(wait_s: float) -> str:
    """When the next try comes; "" if it comes at once, perhaps at another server."""
    return f"; again in {wait_s:.1f} s" if wait_s else ""


def _started(event: StageStarted) -> str:
    todo = f" {event.total} {event.unit}" if event.total is not None else ""
    return f"{event.stage}:{todo}{f' ({event.already} already there)' if event.already else ''} …"


_LINES: dict[type[Event], Callable[..., str]] = {
    StageStarted: _started,
    StageSkipped: lambda e: f"{e.stage}: {e.reason}",
    StageDone: lambda e: f"{e.stage}: done in {duration(e.seconds, exact=True)} — {e.summary}",
    StageFailed: lambda e: f"{e.stage}: stopped" if e.exit_code == 4 else f"{e.stage}: failed",
    Note: lambda e: f"  {'warning: ' if e.level == 'warning' else ''}{e.message}",
    CandidateRetried: lambda e: f"  {e.source} {e.seed_id}#{e.number}: {e.reason}{_when(e.wait_s)}",
    CandidateFailed: lambda e: f"  {e.source} {e.seed_id}#{e.number}: gave up, {e.reason}",
    SetAssembled: lambda e: f"  set {e.set}: {e.samples} samples, {e.tokens} tokens",
    ActivationsReady: lambda e: f"  activations of {e.set}: {e.samples} samples, {e.tokens} tokens",
    ArtefactDone: lambda e: f"  {e.artefact}: {e.average_bits:.2f} bits a weight, {duration(e.seconds, exact=True)}",
    ReportWritten: lambda e: f"  wrote {e.path}",
    SeedSkipped: lambda e: f"  {e.path} line {e.line} {e.reason}: skipped",
}
