"""The views that the panes show: each source with its present settings, and the judge that scores its candidates."""

from __future__ import annotations

from faq_tui.core.base.errors import FaqError
from faq_tui.core.judging.identity import judge_id, shown_id
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.store.seed_pages import View


def views_of(run: Run) -> list[View]:
    """One view for each source. If the run has no source, the result is a list with one empty view."""
    try:
        judge, columns = judge_id(run), tuple(shown_id(run, kind) for kind in run.settings.judge.kinds())
    except (
        FaqError,
        OSError,
    ):  # The target's files are missing, so no scores can be found. The panes must open even without scores.
        judge, columns = "", ()
    views = [
        View(name, source_hash_of(source), judge, source.candidates, columns)
        for name, source in run.settings.sources.items()
    ]
    return views or [View()]
