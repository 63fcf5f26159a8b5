"""One seed of the Judge pane: its candidates, their scores, the decisions, and sentences about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from faq_tui.core.judging.picking import agrees
from faq_tui.core.overrides import NEVER_ASSEMBLED
from faq_tui.core.regenerating.flags import words_of
from faq_tui.core.store import Store, candidates, judged, seeds
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.judged import Override, Standing
from faq_tui.core.store.picks import ScoreRow
from faq_tui.core.store.seed_pages import View


@dataclass(frozen=True)
class Case:
    """One seed with its candidates, their scores and the decisions."""

    standing: Standing
    question: str
    label: str
    candidates: tuple[Candidate, ...]
    scores: dict[int, ScoreRow]  # maps a candidate's id to the score by which the judge picks
    override: Override | None  # a person's pick with its author and time
    # Maps a candidate's id to the scores of all judges.
    columns: dict[int, tuple[ScoreRow, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> int | None:
        """The id of the candidate that the seed currently uses."""
        person = self.standing.override
        return person.candidate_id if person else self.standing.judge_pick

    def number(self, candidate_id: int | None) -> int | None:
        return next((c.number for c in self.candidates if c.id == candidate_id), None)


def read_case(store: Store, view: View, standing: Standing) -> Case:
    made = candidates.of_seed(store, view.source, view.source_hash, standing.seed_id)
    # After the setting `candidates` was lowered, a person's earlier pick of another candidate is still valid.
    picked = standing.override.candidate_id if standing.override else None
    kept = tuple(candidate for candidate in made if candidate.number <= view.candidates or candidate.id == picked)
    seed = seeds.get(store, standing.seed_id)
    return Case(
        standing,
        "\n\n".join(message["content"] for message in seed.messages) if seed else "",
        (seed.label or "") if seed else "",
        kept,
        judged.scores_by_candidate(store, view.judge, [candidate.id for candidate in kept]),
        judged.last_override(store, view.source, seed_id=standing.seed_id),
        judged.columns_of(store, view.columns, [candidate.id for candidate in kept]) if len(view.columns) > 1 else {},
    )


def verdict(case: Case, blind: bool, day: str) -> str:
    """A sentence about the seed's current decision: what was decided, and by whom.

    `day` is the date of the override.
    """
    standing, person = case.standing, case.standing.override
    judge = _judge(case)
    if person is None:
        return "not reviewed; the judge's pick is hidden" if blind else f"{judge} (not reviewed)"
    choice = f"candidate {case.number(person.candidate_id)}" if person.candidate_id else "rejected"
    who = f"{case.override.who}, {day}" if case.override else "a person"
    why = f": “{person.reason}”" if person.reason else ""
    other = "the judge's pick is hidden" if blind else ("the judge agrees" if agrees(standing) else judge)
    return f"{choice}, by {who}{why}; {other}"


def _judge(case: Case) -> str:
    if not case.standing.judged:
        return "not judged yet"
    number = case.number(case.standing.judge_pick)
    return f"judge's pick: {number}" if number else "the judge found no usable answer"


def flags_in_words(flags: tuple[str, ...]) -> str:
    """Say why the candidate is unusable, and who can still pick it. Return "" if the candidate is usable."""
    if not flags:
        return ""
    never = any(flag in NEVER_ASSEMBLED for flag in flags)
    end = "cannot be picked" if never else "the judge never picks this answer, but you can"
    return f"{', '.join(words_of(flag).sentence for flag in flags)}: {end}"
