"""The order in which a set's samples stand before `count` and `match` cut it: see `select` of `[sets]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from faq_tui.core.assembly.diversity import diverse_order
from faq_tui.core.assembly.sample import Sample
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.settings import SetPlan
from faq_tui.core.stage import Context
from faq_tui.core.store import picks as pick_rows
from faq_tui.core.target import TargetModel


def ordering(
    context: Context, target: TargetModel, questions: Mapping[str, str]
) -> Callable[[SetPlan, list[Sample]], list[Sample]]:
    """The function that brings a set into its plan's order. `questions`: seed id to text.

    `judge`: best mark first, samples without one last; the draw decides among equals. `diversity`: the first
    samples cover the clusters of the questions. `coverage`: they cover the target's outlier channels.
    """

    def order(plan: SetPlan, samples: list[Sample]) -> list[Sample]:
        if plan.select == "judge":
            marks = pick_rows.scores_of(context.run.store, judge_id(context.run))
            return sorted(samples, key=lambda sample: _rank(marks.get(sample.candidate_id or 0)))
        if plan.select == "diversity":
            texts = [questions[sample.seed_id] for sample in samples]
            return [samples[index] for index in diverse_order(texts, context.cancel.check)]
        if plan.select == "coverage":
            from faq_tui.core.assembly.coverage import covering_order

            return [samples[index] for index in covering_order(context, target, samples)]
        return samples

    return order


def _rank(mark: float | None) -> tuple[bool, float]:
    return (mark is None, -(mark or 0.0))
