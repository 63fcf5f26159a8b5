"""A test of an LLM judge before its marks are used: does it know real answers from garbage and misplaced ones?

A judge that gives everything a 10 fits the schema, and carries no signal.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from faq_tui.core.judging.prompt import ShownAnswer
from faq_tui.core.stats.auc import auc, interval
from faq_tui.core.store.judge_log import ProbeRow

LEAST_AUC = 0.7
REAL, SHUFFLED, GARBAGE = "real", "shuffled", "garbage"
GARBAGE_WORDS = 60


@dataclass(frozen=True)
class ProbeCase:
    """One question with its real answer, another question's, and words in no order."""

    question: str
    kinds: tuple[str, ...]
    answers: tuple[ShownAnswer, ...]


def cases(real: Sequence[tuple[str, ShownAnswer]]) -> list[ProbeCase]:
    """`real`: questions with an answer each. A single one has no other's answer to be given."""
    words = [word for _, answer in real for word in answer.answer.split()]
    found = []
    for number, (question, answer) in enumerate(real):
        dice = random.Random(f"{question}\n{answer.answer}")
        garbage = " ".join(dice.choice(words) for _ in range(GARBAGE_WORDS)) if words else "x"
        kinds, answers = [REAL, GARBAGE], [answer, ShownAnswer("", garbage)]
        other = real[(number + 1) % len(real)][1]
        if other != answer:
            kinds.append(SHUFFLED)
            answers.append(other)
        found.append(ProbeCase(question, tuple(kinds), tuple(answers)))
    return found


def result(marks: Sequence[tuple[str, float | None]]) -> ProbeRow:
    """From (kind, mark) pairs; unread marks are counted and left out."""
    by_kind = {
        kind: [mark for k, mark in marks if k == kind and mark is not None] for kind in (REAL, SHUFFLED, GARBAGE)
    }
    real, others = by_kind[REAL], by_kind[SHUFFLED] + by_kind[GARBAGE]
    details: dict[str, Any] = {
        "marks": len(marks),
        "unread": sum(mark is None for _, mark in marks),
        "mean": {kind: round(fmean(found), 3) for kind, found in by_kind.items() if found},
        "auc": {kind: round(auc(real, by_kind[kind]), 4) for kind in (SHUFFLED, GARBAGE) if real and by_kind[kind]},
    }
    if not real or not others:
        return ProbeRow(None, None, None, details)
    value = auc(real, others)
    low, high = interval(value, len(real), len(others))
    return ProbeRow(round(value, 4), round(low, 4), round(high, 4), details)


def probe_in_words(probe: ProbeRow) -> str:
    """A sentence."""
    advice = ': its marks say little, let kind "likelihood" pick'
    if probe.auc is None:
        return f"tested before use, the judge gave no mark that could be read{advice}"
    told = (
        f"tested before use, the judge tells real answers from garbage and misplaced ones with AUC {probe.auc:.2f} "
        f"[{probe.low:.2f}, {probe.high:.2f}]"
    )
    return f"{told}, below {LEAST_AUC}{advice}" if is_low(probe) else told


def is_low(probe: ProbeRow) -> bool:
    return probe.auc is None or probe.auc < LEAST_AUC
