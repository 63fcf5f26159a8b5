"""The figures above the queue."""

from __future__ import annotations

from collections.abc import Sequence

from faq_tui.core.quantizing.queue import Queued
from faq_tui.tui.live import LiveState
from faq_tui.tui.live_quantize import ArtefactLive
from faq_tui.tui.panes.words import duration


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
        parts.append(_left(live, running, now))
    elif live.is_running("quantize"):
        parts.append("loading the target")
    else:
        ended = next((queued for queued in queue if queued.state in ("failed", "stopped")), None)
        if ended is not None:
            parts.append(f"{ended.name} {ended.state}: {ended.message}")
        elif stale := sum(queued.state == "stale" for queued in queue):
            parts.append(f"{stale} out of date: r makes them again")
    return parts


def _left(live: LiveState, running: ArtefactLive, now: float) -> str:
    left = seconds_left(running, now)
    if left is None:
        return "time left not known yet"
    said = f"about {duration(left)} left"
    more = (live.stage.total or 0) - live.stage.done - 1 if live.stage else 0
    if more > 0:
        said += f", {more} more artefact{'s' if more > 1 else ''} after it"
    return said


def seconds_left(running: ArtefactLive, now: float) -> float | None:
    """Of the artefact that is being made, at its pace so far; what the present layer took already is taken off."""
    pace = running.seconds_a_layer()
    if pace is None:
        return None
    last = max(running.layer_done.values())
    return max(0.0, pace * (running.layers - len(running.layer_done)) - min(pace, max(0.0, now - last)))
