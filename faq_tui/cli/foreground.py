"""Run stages in the foreground: handle Ctrl-C, and show events as progress bars, as lines on stderr, or as JSON."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from faq_tui.cli.event_lines import EventLines
from faq_tui.cli.streams import drop_stdout
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError, system_reason
from faq_tui.core.run.events import Emit, Event, Note, to_json
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.settings.cluster import cluster_at
from faq_tui.core.stages.pipeline import run_pipeline, select
from faq_tui.core.status import stage_states

TOGETHER_S = 0.2  # two signals within this number of seconds count as one


def run_in_foreground(
    folder: Path,
    only: str | None,
    until: str | None,
    as_json: bool,
    confirmed: bool = False,
    retry_unusable: bool = False,
    cluster: str | None = None,
) -> None:
    """Run the stages of the run in `folder`. `cluster` replaces the setting `cluster.address`. Raises FaqError."""
    with open_run(folder) as run, stop_on_signals() as cancel, event_output(as_json) as emit:
        if cluster is not None:
            chosen = cluster_at(cluster, run.settings.cluster)
            run = replace(run, settings=run.settings.model_copy(update={"cluster": chosen}))
        if stale := _stale_in_words(run, only, until):
            emit(Note(stale))
        run_pipeline(run, emit, cancel, only, until, confirmed=confirmed, retry_unusable=retry_unusable)


def run_unit_in_foreground(folder: Path, name: str, as_json: bool, confirmed: bool = False) -> None:
    """Do one unit of the run in `folder`. Raises FaqError."""
    from faq_tui.core.units import run_unit

    with open_run(folder) as run, stop_on_signals() as cancel, event_output(as_json) as emit:
        run_unit(run, name, emit, cancel, confirmed)


def _stale_in_words(run: Run, only: str | None, until: str | None) -> str:
    """A sentence about the finished stages that run again, because settings or inputs have changed; "" if none do."""
    selected = {stage.name for stage in select(only, until)}
    try:
        states = stage_states(run, busy=False)
    except (FaqError, OSError):  # an input cannot be read; the stage that needs it reports this
        return ""
    names = [one["stage"] for one in states if one["state"] == "stale" and one["stage"] in selected]
    if not names:
        return ""
    them = "this stage runs" if len(names) == 1 else "these stages run"
    return f"settings or inputs have changed, so {them} again: {', '.join(names)}"


@contextmanager
def stop_on_signals() -> Iterator[CancelToken]:
    """The first Ctrl-C (or SIGTERM, or SIGHUP) requests a stop at the next safe point.

    The system sends SIGHUP when the terminal is closed. Under the command `nohup`, this process ignores SIGHUP.

    A second Ctrl-C ends the program at once. Two signals within TOGETHER_S seconds count as one: the command
    `timeout` and some schedulers send their signal to the process, and then also to its group.

    Finished work is never lost, because it is already on disk. Child processes end together with this process.
    """
    cancel, first = CancelToken(), list[float]()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if first:
            if time.monotonic() - first[0] < TOGETHER_S:
                return
            os._exit(ExitCode.STOPPED)
        first.append(time.monotonic())
        cancel.set()
        # Write without the stream's buffer, because the signal may have interrupted a buffered write.
        with suppress(OSError):  # the terminal may be closed
            os.write(2, b"\nfaq-tui: stopping; finished work is kept (Ctrl-C again leaves at once)\n")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    handlers = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield cancel
    finally:
        if not cancel.is_set:  # otherwise a second signal would end the program without its exit code
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def event_output(as_json: bool) -> Iterator[Emit]:
    """Return the function to which the pipeline passes its events.

    On a terminal, the function shows progress bars; otherwise it prints lines of text on stderr. With `as_json`, it
    also prints each event as JSON on stdout.
    """
    if sys.stderr.isatty() and not as_json:
        from faq_tui.cli.progress_bars import Bars

        with Bars(EventLines()) as bars:
            yield bars.show
        return
    lines = EventLines()
    refusal: OSError | None = None

    def plain(event: Event) -> None:
        nonlocal refusal
        if as_json and refusal is None:
            try:
                print(to_json(event), flush=True)
            except OSError as error:  # the work continues
                refusal = error
                drop_stdout()
        for line in lines.of(event):
            print(line, file=sys.stderr, flush=True)

    yield plain
    if refusal is not None and not isinstance(refusal, BrokenPipeError):  # the reader, such as `head`, may have ended
        raise FaqError(f"the run has ended, but not all events could be printed: {system_reason(refusal)}")
