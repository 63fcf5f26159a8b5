"""Say in one line which server the running job waits for."""

from __future__ import annotations

import time
from collections.abc import Iterable

from faq_tui.core.base.text import sanitize
from faq_tui.core.run.events import ServerWaiting
from faq_tui.tui.duration import clock_time


def waiting_in_words(waiting: Iterable[ServerWaiting], now: float) -> str:
    """Say for which server the job waits, since when, and when it gives up.

    Return "" if the job does not wait for a server: no server is down, or another server of the same source is up.
    """
    event = next((event for event in waiting if event.gives_up is not None), None)
    if event is None or event.gives_up is None:
        return ""
    next_try = f"next try in {clock_time(max(0.0, event.next_probe - now))}"
    return (
        f"waiting for {sanitize(event.url)} since {_clock(event.since)} ({sanitize(event.reason, 60)}), {next_try}, "
        f"gives up at {_clock(event.gives_up)}"
    )


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
