"""What makes a candidate unfit to be picked, found without any model."""

from __future__ import annotations

from collections.abc import Mapping

from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.language import in_another_language
from faq_tui.core.regenerating.loops import loop_in
from faq_tui.core.regenerating.refusals import refusal_in
from faq_tui.core.store.seeds import Seed

TRUNCATED, UNCLOSED, EMPTY, LOOP = "truncated", "unclosed_think", "empty", "loop"
REFUSAL, LANGUAGE = "refusal", "wrong_language"
IN_WORDS = {
    TRUNCATED: "cut off",
    UNCLOSED: "without an end of their reasoning",
    EMPTY: "empty",
    LOOP: "looping",
    REFUSAL: "refusing",
    LANGUAGE: "in another language",
}
CUT_OFF = frozenset({TRUNCATED, UNCLOSED, EMPTY})  # more room may help; the others came to their end by themselves


def why_unfit(reply: Reply, reasoning: str, answer: str, seed: Seed | None) -> dict[str, str]:
    """Flag to what was found; empty if the candidate may be assembled."""
    found = {}
    if reply.finish_reason == "length":
        found[TRUNCATED] = "it reached max_tokens or the end of the model's window"
    if not reply.closed:
        found[UNCLOSED] = "the reasoning has no end"
    if not answer.strip():
        found[EMPTY] = "no answer after the reasoning" if reasoning else "nothing was said"
    if loop := loop_in(f"{reasoning}\n{answer}"):
        found[LOOP] = loop
    if refusal := refusal_in(answer):
        found[REFUSAL] = f"it begins with {refusal!r}"
    if seed and (languages := in_another_language(seed.question, answer, seed.language)):
        found[LANGUAGE] = f"asked in {languages[0]}, answered in {languages[1]}"
    return found


def counts_in_words(counts: Mapping[str, int]) -> str:
    """`3 cut off, 1 looping` of how many candidates have each flag, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {IN_WORDS.get(flag, flag)}" for flag, count in ranked)


def flags_of(reply: Reply, reasoning: str, answer: str, seed: Seed | None = None) -> tuple[str, ...]:
    """The flags alone; without a seed its language is not looked at."""
    return tuple(why_unfit(reply, reasoning, answer, seed))
