"""Running stages in the foreground: narration, and Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from faq_tui.cli.event_output import narrated
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode
from faq_tui.core.run.run import open_run
from faq_tui.core.stages.pipeline import run_pipeline


def run_in_foreground(
    folder: Path, only: str | None, until: str | None, as_json: bool, confirmed: bool = False
) -> None:
    """The stages of the run in `folder`. Raises FaqError."""
    with open_run(folder) as run, stop_on_signals() as cancel, narrated(as_json) as emit:
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

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
