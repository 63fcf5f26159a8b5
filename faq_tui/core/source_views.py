"""What the panes look at: one source under its present settings, and the judge that marks it."""

from __future__ import annotations

from faq_tui.core.base.errors import FaqError
from faq_tui.core.judging.identity import judge_id, shown_id
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.store.seed_pages import View


def views_of(run: Run) -> list[View]:
    """One for each source; one empty view where the run has none."""
    try:
        judge, columns = judge_id(run), tuple(shown_id(run, kind) for kind in run.settings.judge.kinds())
    except (FaqError, OSError):  # no target there: then nothing is judged by it, and the panes open all the same
        judge, columns = "", ()
    found = [
        View(name, source_hash_of(source), judge, source.candidates, columns)
        for name, source in run.settings.sources.items()
    ]
    return found or [View()]
