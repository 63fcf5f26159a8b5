"""Events for a person on stderr: live bars on a terminal, plain lines elsewhere; `--json`: on stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from faq_tui.cli.event_lines import Lines
from faq_tui.core.run.events import Emit, Event, to_json


@contextmanager
def narrated(as_json: bool) -> Iterator[Emit]:
    """What to emit to while a pipeline runs."""
    if sys.stderr.isatty() and not as_json:
        from faq_tui.cli.progress_bars import Bars

        with Bars(Lines()) as bars:
            yield bars.show
        return
    lines = Lines()

    listened_to = as_json

    def plain(event: Event) -> None:
        nonlocal listened_to
        if listened_to:
            try:
                print(to_json(event), flush=True)
            except BrokenPipeError:  # `| head`: hours of work do not end with who watched them
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                listened_to = False
        for line in lines.of(event):
            print(line, file=sys.stderr, flush=True)

    yield plain
