"""The figures above the queue."""

from __future__ import annotations

from collections.abc import Sequence

from faq_tui.core.artefact_queue import Queued
from faq_tui.tui.duration import clock_time
from faq_tui.tui.live import LiveState


def figures(live: LiveState, queue: Sequence[Queued], now: float) -> list[str]:
    """While artefacts are made how long it takes, else how many there are."""
    done = sum(queued.state == "done" for queued in queue)
    running = live.running_artefact()
    parts = [f"{done} of {len(queue)} artefacts done"]
    if running is not None:
        parts.append(f"{running.name}: layer {min(len(running.layer_done) + 1, running.layers)} of {running.layers}")
        pace = running.seconds_a_layer()
        if pace is not None:
            parts.append(f"{pace:.1f} s a layer")
        parts.append(_left(live, now))
    elif live.is_running("quantize"):
        parts.append("loading the target")
    else:
        ended = next((queued for queued in queue if queued.state in ("failed", "stopped")), None)
        if ended is not None:
            parts.append(f"{ended.name} {ended.state}: {ended.message}")
        elif stale := sum(queued.state == "stale" for queued in queue):
            parts.append(f"{stale} out of date: r makes them again")
    return parts


def _left(live: LiveState, now: float) -> str:
    left = live.seconds_left(now)
    if left is None:
        return "time left not known yet"
    said = f"{clock_time(left)} left"
    more = (live.stage.total or 0) - live.stage.done - 1 if live.stage else 0
    if more > 0:
        said += f", {more} more artefact{'s' if more > 1 else ''} after it"
    return said
