"""The picks that count now."""

from __future__ import annotations

from faq_tui.core.judging.identity import judge_id
from faq_tui.core.regenerating import generation_of
from faq_tui.core.run import Run
from faq_tui.core.store import picks
from faq_tui.core.store.picks import Pick


def current_picks(run: Run, source: str) -> dict[str, Pick]:
    """Seed id to pick, under the present settings of the source and of the judge."""
    return picks.current(run.store, source, judge_id(run), generation_of(run.settings.sources[source]))
