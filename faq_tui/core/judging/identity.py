"""Which judge a mark belongs to: another judge marks anew, and regenerates nothing."""

from __future__ import annotations

from faq_tui.core.judging.shown import versions
from faq_tui.core.run import Run
from faq_tui.core.settings import CONTROLLED, MIX
from faq_tui.core.store.hashing import digest
from faq_tui.core.target import fingerprint

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
