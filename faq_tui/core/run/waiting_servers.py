"""Find the servers for which a running job waits. The job's events name these servers."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.run.events import ServerBack, ServerWaiting, from_json, line_start

# The event ServerWaiting is repeated before each probe, so the last ServerWaiting event is near the end of the
# file, even if many other events follow it.
READ_BYTES = 8 << 20
_LINES = (line_start(ServerWaiting), line_start(ServerBack))


def servers_waiting(events: Path) -> list[ServerWaiting]:
    """The last event about each server that is down. `events` is the path of the job's events.jsonl."""
    try:
        with events.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - READ_BYTES))
            lines = [line for line in file if line.startswith(_LINES)]
    except OSError:
        return []
    waiting: dict[str, ServerWaiting] = {}
    for line in lines:
        try:
            event, _ = from_json(line)
        except ValueError:
            continue
        if isinstance(event, ServerWaiting):
            waiting[event.url] = event
        elif isinstance(event, ServerBack):
            waiting.pop(event.url, None)
    return list(waiting.values())
