"""Pick a candidate by its score, and find the picks that a person should review."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from faq_tui.core.judging.identity import judge_named
from faq_tui.core.settings import MIX
from faq_tui.core.store.candidates import Candidate, CandidateOutline
from faq_tui.core.store.judged import Standing

FINISHED = "stop"
FILTERS = ("all", "close calls", "disagreements", "truncated or unusable", "overridden")
CLOSE_IN_MIX = 0.25  # mixed scores count as close if they differ by at most this much (in units of the z-score)


def best_candidate(
    candidates: Iterable[Candidate | CandidateOutline], scores: Mapping[int, float | None]
) -> int | None:
    """Id of the candidate with the best score. Candidates with a flag or without a score are ignored.

    The result is None if no candidate is left. Among candidates with equal scores, candidates that ended by
    themselves are preferred. If several candidates are still equal, the one with the lowest number is chosen. This is
    as good as a random choice, because candidates are sampled independently. Length is ignored.
    """
    usable = [c for c in candidates if not c.flags and scores.get(c.id) is not None]
    return max(usable, key=lambda c: (scores[c.id], c.finish_reason == FINISHED, -c.number)).id if usable else None


def close_margin(kind: str) -> float:
    """The largest difference at which two scores of this kind, or of the mix, count as close."""
    return CLOSE_IN_MIX if kind == MIX else judge_named(kind).close


def admits(name: str, standing: Standing, kind: str) -> bool:
    """True if the filter `name` shows this seed.

    `standing` says what the judge and people decided about the seed. `kind` is the kind of the judge.
    """
    match name:
        case "close calls":
            return standing.margin is not None and standing.margin <= close_margin(kind) + 1e-9
        case "disagreements":
            return standing.override is not None and not agrees(standing)
        case "truncated or unusable":
            return standing.unusable > 0
        case "overridden":
            return standing.override is not None
    return True


def agrees(standing: Standing) -> bool:
    """True if the person and the judge pick the same candidate."""
    return standing.judged and standing.override is not None and standing.override.candidate_id == standing.judge_pick


@dataclass(frozen=True)
class ReviewCounts:
    """The progress of a review, as counts of seeds.

    A seed without a usable candidate needs no review, because no set can contain it. A seed without a usable
    candidate is counted only if a person has decided on this seed.
    """

    reviewed: int = 0  # seeds that a person has decided on
    listed: int = 0  # seeds that a person should review
    agreed: int = 0  # seeds where the person agrees with the judge
    decided_by_both: int = 0  # seeds that both a person and the judge have decided on

    @classmethod
    def of(cls, standings: Iterable[Standing]) -> ReviewCounts:
        counts = [0, 0, 0, 0]
        for standing in standings:
            for place, counted in enumerate(_counted(standing)):
                counts[place] += counted
        return cls(*counts)

    def changed(self, before: Standing, after: Standing) -> ReviewCounts:
        """The counts after the decision on one seed has changed."""
        now = (self.reviewed, self.listed, self.agreed, self.decided_by_both)
        old, new = _counted(before), _counted(after)
        return ReviewCounts(*(count - was + is_ for count, was, is_ in zip(now, old, new, strict=True)))


def _counted(standing: Standing) -> tuple[bool, bool, bool, bool]:
    """In which counts of `ReviewCounts` the seed is."""
    decided = standing.override is not None
    return decided, decided or standing.usable, agrees(standing), decided and standing.judged


def clear_picks(standings: Iterable[Standing], margin: float) -> list[Standing]:
    """The seeds with a clear pick by the judge and without a decision by a person.

    The score of a clear pick is higher than the second-best score by more than `margin`. A seed with only one usable
    candidate has no second-best score, so it is left out.
    """
    return [
        standing
        for standing in standings
        if standing.override is None
        and standing.judge_pick is not None
        and standing.margin is not None
        and standing.margin > margin
    ]
