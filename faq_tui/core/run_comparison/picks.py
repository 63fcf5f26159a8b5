"""Seeds that both runs regenerate, but for which the runs use different answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from faq_tui.core.run.run import Run
from faq_tui.core.source_views import views_of
from faq_tui.core.store import candidates, picks, seeds
from faq_tui.core.store.picks import Pick
from faq_tui.core.store.seed_pages import View

LONGEST = 400  # characters of a question that are kept for the list


@dataclass(frozen=True)
class PickedAnswer:
    """The answer that a run uses for a seed. `number` is None if the run uses no answer."""

    number: int | None = None
    picked_by: str = ""  # "judge" or "person"; "" if nothing is picked
    answer: str = ""
    reasoning: str = ""

    @property
    def words(self) -> str:
        """The number of the answer and who picked it, such as `2 (judge)`."""
        if self.number is None:
            return f"none ({self.picked_by})" if self.picked_by else "not judged"
        return f"{self.number} ({self.picked_by})"


@dataclass(frozen=True)
class Differing:
    """A seed with different picks. The answers themselves are read by `both_answers`."""

    seed_id: str
    question: str  # its beginning
    sources: tuple[str, str]  # the name of the source in each run
    one: PickedAnswer  # without the texts
    other: PickedAnswer


@dataclass(frozen=True)
class PickComparison:
    """How far the picks of two runs agree.

    `shared` is the number of seeds that both runs regenerate. `only_one` and `only_other` are the numbers of seeds
    that only run A or only run B regenerates. For each pair of a shared seed and a source, the picks are compared.
    Two picks are the same if they have the same answer and the same reasoning. `same` is the number of pairs with the
    same picks, and `differing` lists the pairs with different picks.
    """

    shared: int
    only_one: int
    only_other: int
    same: int
    differing: tuple[Differing, ...]
    unpaired: tuple[str, ...] = ()  # sources that only one of the runs has


def compare_picks(one: Run, other: Run) -> PickComparison:
    """Compare the picks of two runs.

    Sources with the same name are compared. If each run has only one source, these two are compared in any case.
    """
    ours, theirs = (seeds.ids_by_role(run.store, "chosen") for run in (one, other))
    there = set(theirs)
    shared = [seed_id for seed_id in ours if seed_id in there]
    pairs, unpaired = _pairs(views_of(one), views_of(other))
    same, differing = 0, []
    for our_view, their_view in pairs:
        our_picks, their_picks = _picks(one, our_view), _picks(other, their_view)
        for seed_id in shared:
            left, right = _answer(one, our_picks, seed_id), _answer(other, their_picks, seed_id)
            if not left.picked_by and not right.picked_by:
                continue
            if (left.answer, left.reasoning, left.number is None) == (
                right.answer,
                right.reasoning,
                right.number is None,
            ):
                same += 1
                continue
            names = our_view.source, their_view.source
            differing.append(Differing(seed_id, _question(one, seed_id), names, _short(left), _short(right)))
    counts = len(shared), len(ours) - len(shared), len(theirs) - len(shared)
    return PickComparison(*counts, same, tuple(differing), unpaired)


def both_answers(one: Run, other: Run, differing: Differing) -> tuple[str, PickedAnswer, PickedAnswer]:
    """The whole question of a seed, and the answers that the two runs use for it."""
    found = []
    for run, source in zip((one, other), differing.sources, strict=True):
        view = next((view for view in views_of(run) if view.source == source), None)
        found.append(_answer(run, _picks(run, view), differing.seed_id) if view else PickedAnswer())
    seed = seeds.get(one.store, differing.seed_id)
    return seed.question if seed else "", found[0], found[1]


def _pairs(ours: list[View], theirs: list[View]) -> tuple[list[tuple[View, View]], tuple[str, ...]]:
    by_name = {view.source: view for view in theirs if view.source}
    ours = [view for view in ours if view.source]
    pairs = [(view, by_name[view.source]) for view in ours if view.source in by_name]
    if not pairs and len(ours) == len(by_name) == 1:
        return [(ours[0], next(iter(by_name.values())))], ()
    paired = {view.source for view, _ in pairs}
    names = dict.fromkeys(view.source for view in (*ours, *by_name.values()) if view.source not in paired)
    return pairs, tuple(names)


def _picks(run: Run, view: View) -> dict[str, Pick]:
    return picks.current(run.store, view.source, view.judge, view.source_hash)


def _answer(run: Run, all_picks: Mapping[str, Pick], seed_id: str) -> PickedAnswer:
    pick = all_picks.get(seed_id)
    if pick is None:
        return PickedAnswer()
    found = candidates.by_ids(run.store, [pick.candidate_id]) if pick.candidate_id is not None else {}
    if pick.candidate_id not in found:
        return PickedAnswer(None, pick.picked_by)
    candidate = found[pick.candidate_id]
    return PickedAnswer(candidate.number, pick.picked_by, candidate.answer, candidate.reasoning)


def _question(run: Run, seed_id: str) -> str:
    seed = seeds.get(run.store, seed_id)
    return seed.question[:LONGEST] if seed else ""


def _short(answer: PickedAnswer) -> PickedAnswer:
    return PickedAnswer(answer.number, answer.picked_by)
