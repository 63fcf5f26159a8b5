"""The figures about the regeneration.

A thread counts the totals, because a count reads the rows of all candidates.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App

from faq_tui.core.regenerating.candidate_requests import AGAIN
from faq_tui.core.store import candidate_pages as queries
from faq_tui.core.store.candidate_pages import Totals
from faq_tui.tui.live import LiveState, Regeneration
from faq_tui.tui.waiting import waiting_in_words


def count_totals(
    app: App[Any], path: Path, source_hash: str, wanted: int, on_totals: Callable[[Totals], None]
) -> None:
    """Count on a thread, then call `on_totals` on the app's thread. If the count fails, `on_totals` is not called.

    `wanted` is the number of candidates that a seed should have.
    """

    def count() -> None:
        try:
            app.call_from_thread(on_totals, queries.totals(path, source_hash, wanted))
        except Exception:  # noqa: BLE001  without a count, the pane shows no totals; the app may be closing
            return

    threading.Thread(target=count, name="totals", daemon=True).start()


def figures(live: LiveState, totals: Totals | None, expected: int, now: float) -> list[str]:
    """The progress and rate of the running regeneration. If no regeneration is running, return the totals.

    The line of the job shows the time left.

    `expected` is the number of candidates that all sources together should have.
    """
    regeneration = live.regeneration
    if live.is_running("regenerate") and live.stage is not None:
        stage = live.stage
        waits = waiting_in_words(live.waiting.values(), now)
        made = f"{stage.finished:,} of {stage.all_units:,} candidates"
        if waits:  # nothing is generated now, so there is neither a rate nor a time left
            return [waits, made, f"{regeneration.retried:,} retried", f"{regeneration.failed:,} failed"]
        return [
            made,
            f"{regeneration.tokens_per_second(now):,.0f} tokens/s",
            f"{len(regeneration.growing)} in flight",
            f"{regeneration.unusable:,} unusable",
            f"{regeneration.retried:,} retried",
            f"{regeneration.failed:,} failed",
            *why_retried(regeneration),
        ]
    if totals is None:
        return [f"{expected:,} candidates to generate"]
    parts = [f"{totals.candidates:,} of {expected:,} candidates", f"{totals.tokens:,} tokens"]
    parts.append(f"{totals.unusable:,} unusable")
    if regeneration.retried:
        parts.append(f"{regeneration.retried:,} retried")
    if regeneration.failed:
        parts.append(f"{regeneration.failed:,} failed")
    return parts + why_retried(regeneration)


def why_retried(regeneration: Regeneration) -> list[str]:
    """The number of retries for each reason, the most frequent first; nothing without a retry.

    The part of a reason that says how the candidate was requested again is left out.
    """
    counts: Counter[str] = Counter()
    for reason, count in regeneration.retries.items():
        counts[reason.partition(AGAIN)[0]] += count
    return (
        ["retried: " + ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())] if counts else []
    )
