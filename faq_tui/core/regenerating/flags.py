"""What makes a candidate unfit to be picked, found without any model."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.language import in_another_language
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


def unusable_reasons(reply: Reply, reasoning: str, answer: str, seed: Seed | None) -> dict[str, str]:
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
    return tuple(unusable_reasons(reply, reasoning, answer, seed))


LOOP_MIN_CHARACTERS = 300
LOOP_RATIO = 5.0  # bytes by compressed bytes
GRAM = 8  # words, or characters where a script has no spaces
LEAST_GRAMS = 64
REPEATED_SHARE = 0.5  # of the grams were there before
TAIL_WORDS, TAIL_REPEATS = 30, 4
READ = 200_000  # characters, from the end: what loops, loops to the end

# A word, or one character of a script without spaces between words.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+")


def loop_in(text: str) -> str | None:
    """What repeats, in words for a person; None if nothing does."""
    text = text[-READ:]
    data = text.encode("utf-8", "replace")
    if len(data) >= LOOP_MIN_CHARACTERS:
        ratio = len(data) / len(zlib.compress(data, 6))
        if ratio > LOOP_RATIO:
            return f"it compresses {ratio:.1f} times"
    tokens = _TOKEN.findall(text)
    period = _tail_period(text.split()) or _tail_period(tokens)
    if period:
        return f"it ends with the same {period} {'word' if period == 1 else 'words'} again and again"
    share = repeated_share(tokens)
    if share > REPEATED_SHARE:
        return f"{share:.0%} of its runs of {GRAM} words were there before"
    return None


def repeated_share(tokens: list[str]) -> float:
    """Share of the runs of `GRAM` tokens that occurred earlier in the text; 0 for a short one."""
    grams = [tuple(tokens[start : start + GRAM]) for start in range(len(tokens) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if len(grams) >= LEAST_GRAMS else 0.0


def _tail_period(words: list[str]) -> int | None:
    for period in range(1, TAIL_WORDS + 1):
        tail = words[-period * TAIL_REPEATS :]
        if len(tail) == period * TAIL_REPEATS and len(tail) >= 8 and tail == tail[:period] * TAIL_REPEATS:
            return period
    return None


__all__ = ["loop_in", "repeated_share"]


FIRST = 400  # characters in which a refusal begins
LONGEST = 1500  # of an answer: a longer one has more to say than no

_SENTENCE = re.compile(r"(?:^|(?<=[.!?。！？\n]))\s*[*_>#\"“]*\s*")


@cache
def _patterns() -> re.Pattern[str]:
    text = (files("faq_tui.core.regenerating") / "data" / "refusals.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return re.compile("|".join(f"(?:{line})" for line in lines), re.IGNORECASE)


def refusal_in(answer: str) -> str | None:
    """The words with which a short answer declines; None if it does not."""
    if len(answer) > LONGEST:
        return None
    text = answer[:FIRST].replace("’", "'").replace("ʼ", "'")
    for start in _SENTENCE.finditer(text):
        found = _patterns().match(text, start.end())
        if found:
            return found[0]
    return None
