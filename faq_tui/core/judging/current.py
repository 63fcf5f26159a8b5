"""The candidates and picks that count now."""

from __future__ import annotations

from faq_tui.core.judging.identity import judge_id
from faq_tui.core.regenerating import generation_of
from faq_tui.core.run import Run
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import judged, picks
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.picks import Pick


def candidates_of(run: Run, name: str) -> list[Candidate]:
    """The source's candidates under its present settings: asking for fewer a seed hides the later numbers."""
    source = run.settings.sources[name]
    found = candidate_rows.current(run.store, name, generation_of(source))
    return [candidate for candidate in found if candidate.number <= source.candidates]


def fit_groups(run: Run) -> list[list[int]]:
    """Ids of the fit candidates of one seed and source each, without any text."""
    sources = run.settings.sources.values()
    return [
        group
        for source in sources
        for group in judged.fit_groups(run.store, generation_of(source), source.candidates)
    ]


def current_picks(run: Run, source: str) -> dict[str, Pick]:
    """Seed id to pick, under the present settings of the source and of the judge."""
    return picks.current(run.store, source, judge_id(run), generation_of(run.settings.sources[source]))
