"""Which judge a mark belongs to: another judge marks anew, and regenerates nothing."""

from __future__ import annotations

from faq_tui.core.base.hashing import digest
from faq_tui.core.judging.prompt import versions
from faq_tui.core.models.target import fingerprint
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.settings import CONTROLLED, MIX
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import judged, picks
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.picks import Pick

LIKELIHOOD, ACTIVATION = "likelihood-2", "activation-1"  # of the computation


def column_id(run: Run, kind: str) -> str:
    """A hash of all that shapes a mark of this kind besides the candidates."""
    judge = run.settings.judge
    if kind == "llm":
        return digest("llm", judge.model, versions(), judge.mode, judge.max_tokens, judge.reasoning_tokens)
    if kind == "activation":
        from faq_tui.core.judging.activation import reference_hash

        return digest(ACTIVATION, fingerprint(run), reference_hash())
    return digest(LIKELIHOOD, fingerprint(run))


def shown_id(run: Run, kind: str) -> str:
    """Of the marks of this kind that can pick: less what length explains, where that is asked for."""
    identity = column_id(run, kind)
    controlled = kind in CONTROLLED and run.settings.judge.length_control
    return digest("length control", identity) if controlled else identity


def judge_id(run: Run) -> str:
    """Of the marks that pick: one kind's, or the weighted mix of several."""
    judge = run.settings.judge
    if judge.picks_by != MIX:
        return shown_id(run, judge.picks_by)
    return digest(MIX, sorted((kind, weight, shown_id(run, kind)) for kind, weight in judge.weights().items()))


def candidates_of(run: Run, name: str) -> list[Candidate]:
    """The source's candidates under its present settings: asking for fewer a seed hides the later numbers."""
    source = run.settings.sources[name]
    found = candidate_rows.current(run.store, name, source_hash_of(source))
    return [candidate for candidate in found if candidate.number <= source.candidates]


def usable_groups(run: Run) -> list[list[int]]:
    """Ids of the fit candidates of one seed and source each, without any text."""
    sources = run.settings.sources.values()
    return [
        group
        for source in sources
        for group in judged.usable_groups(run.store, source_hash_of(source), source.candidates)
    ]


def current_picks(run: Run, source: str) -> dict[str, Pick]:
    """Seed id to pick, under the present settings of the source and of the judge."""
    return picks.current(run.store, source, judge_id(run), source_hash_of(run.settings.sources[source]))
