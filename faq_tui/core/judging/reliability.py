"""Measure how reliable an LLM judge is: test it before its use, and measure how it favours positions in the prompt.

The test checks whether the judge scores real answers above garbage and above answers to other questions. A judge that
gives every answer a 10 follows the schema, but its scores are useless.
"""

from __future__ import annotations

import random
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from faq_tui.core.judging.prompt import ShownAnswer
from faq_tui.core.stats.auc import auc, interval
from faq_tui.core.store import Store
from faq_tui.core.store.judge_log import ProbeRow
from faq_tui.core.store.picks import orders_of

LEAST_AUC = 0.7
REAL, SHUFFLED, GARBAGE = "real", "shuffled", "garbage"
GARBAGE_WORDS = 60


@dataclass(frozen=True)
class ProbeCase:
    """A question with its real answer, the answer to another question, and garbage (words in random order)."""

    question: str
    kinds: tuple[str, ...]
    answers: tuple[ShownAnswer, ...]


def probe_cases(real: Sequence[tuple[str, ShownAnswer]]) -> list[ProbeCase]:
    """The cases of the test. `real` holds pairs of a question and its real answer.

    If `real` has only one pair, the only case lacks the answer to another question.
    """
    words = [word for _, answer in real for word in answer.answer.split()]
    cases = []
    for number, (question, answer) in enumerate(real):
        dice = random.Random(f"{question}\n{answer.answer}")
        garbage = " ".join(dice.choice(words) for _ in range(GARBAGE_WORDS)) if words else "x"
        kinds, answers = [REAL, GARBAGE], [answer, ShownAnswer("", garbage)]
        other = real[(number + 1) % len(real)][1]
        if other != answer:
            kinds.append(SHUFFLED)
            answers.append(other)
        cases.append(ProbeCase(question, tuple(kinds), tuple(answers)))
    return cases


def probe_result(scores: Sequence[tuple[str, float | None]]) -> ProbeRow:
    """The result of the test. `scores` holds pairs (kind of answer, score).

    A score is None if it could not be read. Unreadable scores are counted, but not used otherwise.
    """
    by_kind = {
        kind: [score for k, score in scores if k == kind and score is not None] for kind in (REAL, SHUFFLED, GARBAGE)
    }
    real, others = by_kind[REAL], by_kind[SHUFFLED] + by_kind[GARBAGE]
    details: dict[str, Any] = {
        "marks": len(scores),
        "unread": sum(score is None for _, score in scores),
        "mean": {kind: round(fmean(values), 3) for kind, values in by_kind.items() if values},
        "auc": {kind: round(auc(real, by_kind[kind]), 4) for kind in (SHUFFLED, GARBAGE) if real and by_kind[kind]},
    }
    if not real or not others:
        return ProbeRow(None, None, None, details)
    value = auc(real, others)
    low, high = interval(value, len(real), len(others))
    return ProbeRow(round(value, 4), round(low, 4), round(high, 4), details)


UNREADABLE = (
    "in the test before use, no reply of the judge held a score, so no candidate was judged: choose another model "
    'for the judge, set judge.mode = "pointwise" (one candidate per request), or set judge.kind = "likelihood"; with '
    "judge.probe = 0, the judge is used without a test"
)


def probe_in_words(probe: ProbeRow) -> str:
    """The test's result in a sentence."""
    advice = ': its scores are unreliable, so set judge.kind = "likelihood"'
    if probe.auc is None:
        return f"in the test before use, no score of the judge could be read{advice}"
    text = (
        "in the test before use, the judge separates real answers from garbage and from answers to other questions, "
        f"with AUC {probe.auc:.2f} [{probe.low:.2f}, {probe.high:.2f}]"
    )
    return f"{text}, below {LEAST_AUC}{advice}" if is_low(probe) else text


def is_unreadable(probe: ProbeRow) -> bool:
    """True if no reply in the test held a score."""
    marks, unread = int(probe.details["marks"]), int(probe.details["unread"])
    return 0 < marks == unread


def is_low(probe: ProbeRow) -> bool:
    return probe.auc is None or probe.auc < LEAST_AUC


def probe_facts(probe: ProbeRow) -> dict[str, Any]:
    """The test's result for status and report, as values that JSON can hold."""
    return {
        "auc": probe.auc,
        "low": probe.low,
        "high": probe.high,
        "warning": is_low(probe),
        "marks": probe.details["marks"],
        "unread": probe.details["unread"],
        "mean": probe.details["mean"],
        "auc_against": probe.details["auc"],
    }


@dataclass(frozen=True)
class OrderBias:
    """How much the order of the answers affected the result.

    Only seeds that were scored in both orders are counted.
    """

    groups: int
    changed: int  # groups whose best answer differs between the two orders
    tied: int  # groups in which several answers have the same best mean score
    by_place: tuple[float, ...]  # mean score of the answers at each position in the prompt


def bias_of(groups: Iterable[Sequence[Sequence[tuple[int, float]]]]) -> OrderBias:
    """The effect of the order over all groups in `groups`.

    A group holds two pairs for each answer: (position, score) in the first order, and (position, score) in the second
    order.
    """
    count = changed = tied = 0
    scores_at: defaultdict[int, array[float]] = defaultdict(lambda: array("d"))
    for group in groups:
        count += 1
        scores = []
        for (first_position, first), (second_position, second) in group:
            scores_at[first_position].append(first)
            scores_at[second_position].append(second)
            scores.append((first, second))
        # The best answer is the same in both orders if one answer has the highest score of each order.
        changed += (max(first for first, _ in scores), max(second for _, second in scores)) not in scores
        sums = [first + second for first, second in scores]
        tied += sums.count(max(sums)) > 1
    return OrderBias(
        count,
        changed,
        tied,
        tuple(sum(scores_at[position]) / len(scores_at[position]) for position in sorted(scores_at)),
    )


def order_facts(store: Store, judge: str, groups: Sequence[Sequence[int]]) -> dict[str, Any] | None:
    """How the order of the answers affected the scores, as values that JSON can hold.

    Only seeds whose candidates were all scored in both orders are counted. The result is None if there are no such
    seeds. `judge` is the id of the judge's scores. Each group holds the ids of the usable candidates of one seed and
    source.
    """
    bias = bias_of(orders_of(store, judge, [group for group in groups if len(group) > 1]))
    if not bias.groups:
        return None
    return {
        "seeds": bias.groups,
        "changed": bias.changed,
        "changed_share": round(bias.changed / bias.groups, 4),
        "tied": bias.tied,
        "mean_by_place": [round(score, 4) for score in bias.by_place],
    }


def reliability_in_words(judging: Mapping[str, Any]) -> list[str]:
    """Phrases about the judge's bias by order and about its test before use. If a result is missing, its phrase is
    left out.

    `judging` is the result of `judging_of`.
    """
    parts = []
    if orders := judging["orders"]:
        places = ", ".join(f"{score:.2f}" for score in orders["mean_by_place"])
        parts.append(
            f"the order of the answers changed the winner of {orders['changed']} of {orders['seeds']} seeds, "
            f"and {orders['tied']} of {orders['seeds']} ended in a tie; the mean scores by position are {places}"
        )
    if probe := judging["probe"]:
        if probe["auc"] is None:
            parts.append("in the test before use, no score of the judge could be read")
        else:
            below = f", below {LEAST_AUC}: its scores are unreliable" if probe["warning"] else ""
            parts.append(
                "the judge separates real answers from garbage and from answers to other questions, "
                f"with AUC {probe['auc']:.2f} [{probe['low']:.2f}, {probe['high']:.2f}]{below}"
            )
    return parts
