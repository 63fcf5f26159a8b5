"""Find where an answer departs from the unquantized model's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faq_tui.core.trying.answer import TriedAnswer


@dataclass(frozen=True)
class AnswerComparison:
    """An answer compared with the unquantized model's answer.

    `equal` is the number of equal tokens at the beginning; without token ids, it is the number of equal characters.
    `departed` is true if the tokens after the equal ones differ, or if only one answer ends after the equal tokens.
    While the answers are streamed, a token is compared only when both models have generated it.
    """

    same: str  # the text of the equal tokens, with the opening tag of reasoning
    first: str  # the text of the first token that differs; "" if there is none
    later: str  # the compared text after `first`
    open: str  # the text of the tokens that are not compared yet
    equal: int
    departed: bool
    by_token: bool  # False if `equal` counts characters
    ends: bool = False  # True if the departure is the end of this answer


def compare(reference: TriedAnswer, answer: TriedAnswer) -> AnswerComparison:
    """Compare `answer` with the unquantized model's answer `reference`. The answers need not be complete."""
    texts, by_token = list(answer.texts), _has_ids(reference) and _has_ids(answer)
    ours: Sequence[object]
    theirs: Sequence[object]
    if by_token:
        ids = list(answer.ids)
        texts = texts[: len(ids)]  # another thread may add tokens between the two copies
        ours, theirs = ids[: len(texts)], list(reference.ids)
    else:
        texts = [*"".join(texts)]
        ours, theirs = texts, "".join(list(reference.texts))
    equal = equal_start(ours, theirs)
    if equal < len(ours) and equal < len(theirs):
        departed = True
    elif equal < len(ours):
        departed = reference.state == "done"
    else:
        # `answer` is equal to the reference or to its beginning
        departed = answer.state == "done" and (equal < len(theirs) or _ends_differ(reference, answer))
    return _cut(answer.opened, texts, equal, departed, by_token)


def equal_start(one: Sequence[object], other: Sequence[object]) -> int:
    """The number of equal entries at the beginning of both sequences."""
    return next(
        (index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


def _has_ids(answer: TriedAnswer) -> bool:
    return bool(answer.ids) or not answer.texts


def _ends_differ(reference: TriedAnswer, answer: TriedAnswer) -> bool:
    """For two answers with the same tokens: true if only one model has ended its answer after the last token."""
    return reference.state == "done" and reference.finish_reason != answer.finish_reason


def _cut(opened: str, texts: list[str], equal: int, departed: bool, by_token: bool) -> AnswerComparison:
    same, rest = opened + "".join(texts[:equal]), texts[equal:]
    if not departed:
        return AnswerComparison(same, "", "", "".join(rest), equal, False, by_token)
    # If the first token that differs completes no character, the text of the next token that completes one is marked,
    # too.
    shown = next((index for index, text in enumerate(rest) if text), len(rest))
    first, later = "".join(rest[: shown + 1]), "".join(rest[shown + 1 :])
    return AnswerComparison(same, first, later, "", equal, True, by_token, ends=not rest)
