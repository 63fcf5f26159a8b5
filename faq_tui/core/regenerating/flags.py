"""Find and name the flags of candidates that are unusable for a calibration set. The checks need no model."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from faq_tui.core.endpoints import Reply, finish
from faq_tui.core.regenerating.control_tokens import ControlTokens, begins_with_tool_call
from faq_tui.core.regenerating.language import in_another_language
from faq_tui.core.store.seeds import Seed

TRUNCATED, UNCLOSED, EMPTY, LOOP = "truncated", "unclosed_think", "empty", "loop"
REFUSAL, LANGUAGE = "refusal", "wrong_language"
CONTROL = "control_token"
# The flags of answers that ended for a reason other than length. A larger max_tokens would not help for such answers.
FILTERED, TOOL_CALL, INTERRUPTED, UNKNOWN_END = "filtered", "tool_call", "interrupted", "unknown_end"
NOT_FINISHED = frozenset({FILTERED, TOOL_CALL, INTERRUPTED, UNKNOWN_END})
# the flags of answers that might be usable with a larger max_tokens
CUT_OFF = frozenset({TRUNCATED, UNCLOSED, EMPTY})


@dataclass(frozen=True)
class FlagWords:
    """The wordings of one flag for summaries and screens."""

    counted: str  # the words after a number, as in "3 cut off"
    title: str  # a short title for narrow places on the screen
    sentence: str  # the words for use inside a sentence


FLAG_WORDS = {
    TRUNCATED: FlagWords("cut off", "cut off", "cut off at max_tokens"),
    UNCLOSED: FlagWords("with reasoning that never ended", "reasoning never ended", "the reasoning never ends"),
    EMPTY: FlagWords("empty", "no answer", "the answer is empty"),
    LOOP: FlagWords("looping", "repeats itself", "repeats itself"),
    REFUSAL: FlagWords("refusing", "refuses to answer", "it refuses to answer"),
    FILTERED: FlagWords("cut off by a filter", "cut off by a filter", "a filter of the server cut it off"),
    TOOL_CALL: FlagWords("calling a tool", "calls a tool", "it calls a tool instead of answering"),
    INTERRUPTED: FlagWords("interrupted by the server", "interrupted", "the server did not finish it"),
    UNKNOWN_END: FlagWords("with an unknown finish_reason", "unknown end", "its finish_reason is unknown"),
    CONTROL: FlagWords("with control tokens", "control tokens", "it contains control tokens"),
    LANGUAGE: FlagWords("in another language", "in another language", "it is in another language"),
}

LOOP_MIN_CHARACTERS = 300
LOOP_RATIO = 5.0  # a text repeats itself if compression makes it more than this many times smaller
GRAM = 8  # a gram is a sequence of this many words, or of this many characters in a script without spaces
LEAST_GRAMS = 64
REPEATED_SHARE = 0.5  # a text repeats itself if at least this share of its grams occurred earlier in the text
TAIL_WORDS, TAIL_REPEATS = 30, 4
READ = 200_000  # only the last READ characters are checked, because repetitions continue to the end of the text

REFUSAL_BEGINS = 400  # a refusal begins within this many characters from the start of the answer
LONGEST_WORD = 80  # maximum number of characters of an unknown finish_reason that are shown
LONGEST_REFUSAL = 1500  # an answer with more characters than this is not only a refusal

# Matches a word, or one character of a script without spaces between words.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+")
_SENTENCE = re.compile(r"(?:^|(?<=[.!?。！？\n]))\s*[*_>#\"“]*\s*")


def words_of(flag: str) -> FlagWords:
    """The wordings of the flag. An unknown flag is returned unchanged."""
    return FLAG_WORDS.get(flag) or FlagWords(flag, flag, flag)


def counts_in_words(counts: Mapping[str, int]) -> str:
    """The number of candidates with each flag, for example `3 cut off, 1 looping`.

    The most frequent flag comes first.
    """
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {words_of(flag).counted}" for flag, count in ranked)


def flags_of(reply: Reply, reasoning: str, answer: str, seed: Seed | None = None) -> tuple[str, ...]:
    """The flags of a reply. The language is checked only if a seed is given."""
    return tuple(unusable_reasons(reply, reasoning, answer, seed))


def unusable_reasons(
    reply: Reply, reasoning: str, answer: str, seed: Seed | None, control: ControlTokens | None = None
) -> dict[str, str]:
    """Maps each flag of a reply to the reason for the flag. The dict is empty if the candidate is usable.

    `control` has the special tokens of target and source.
    """
    reasons = _end_reasons(reply)
    if not reply.closed:
        reasons[UNCLOSED] = "the reasoning has no end"
    if not answer.strip():
        reasons[EMPTY] = "no answer after the reasoning" if reasoning else "the reply is empty"
    if token := (control or ControlTokens()).found_in(reasoning, answer, seed.question if seed else ""):
        reasons[CONTROL] = token
    if begins_with_tool_call(answer):
        reasons.setdefault(TOOL_CALL, "the answer is the text of a tool call")
    if loop := loop_in(f"{reasoning}\n{answer}"):
        reasons[LOOP] = loop
    elif reply.finish_reason == LOOP:
        reasons[LOOP] = "it ends with a loop"
    if reply.finish_reason == LOOP:
        reasons[LOOP] += f"; faq-tui ended the stream after {reply.completion_tokens} tokens"
    if reply.refusal:
        reasons[REFUSAL] = f"the server marks it as a refusal: {reply.refusal[:REFUSAL_BEGINS]!r}"
    elif refusal := refusal_in(answer):
        reasons[REFUSAL] = f"it begins with {refusal!r}"
    if seed and (languages := in_another_language(seed.question, answer, seed.language)):
        reasons[LANGUAGE] = f"the question is in {languages[0]}, the answer in {languages[1]}"
    return reasons


def _end_reasons(reply: Reply) -> dict[str, str]:
    """The flags that follow from the way in which a reply ended.

    A candidate is usable only if the model itself ended the reply.
    """
    ending, word = finish.ending_of(reply.finish_reason), reply.finish_reason
    reasons: dict[str, str] = {}
    if word == LOOP:  # faq-tui ended the stream of this reply
        return reasons
    if ending == finish.TRUNCATED:
        reasons[TRUNCATED] = "it reached max_tokens or the end of the model's window"
    elif ending == finish.FILTERED:
        reasons[FILTERED] = f"its finish_reason is {word!r}"
    elif ending in (finish.INTERRUPTED, finish.FAILED):
        reasons[INTERRUPTED] = f"its finish_reason is {word!r}"
    elif ending == finish.UNKNOWN:
        reasons[UNKNOWN_END] = f"its finish_reason is {word[:LONGEST_WORD]!r}, which faq-tui does not know"
    elif not reply.whole:
        reasons[INTERRUPTED] = "the stream ended without finish_reason, usage or [DONE]"
    if ending == finish.TOOL_CALL or reply.called_tool:
        reasons[TOOL_CALL] = f"its finish_reason is {word!r}, and it calls a tool" if word else "it calls a tool"
    return reasons


def loop_in(text: str) -> str | None:
    """A phrase that says what repeats in the text; None if nothing repeats."""
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
        return f"{share:.0%} of its sequences of {GRAM} words occurred earlier in the text"
    return None


def repeated_share(tokens: list[str]) -> float:
    """The share of word sequences (`GRAM` words each) that occurred earlier in the text; 0 for a short text."""
    grams = [tuple(tokens[start : start + GRAM]) for start in range(len(tokens) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if len(grams) >= LEAST_GRAMS else 0.0


def _tail_period(words: list[str]) -> int | None:
    for period in range(1, TAIL_WORDS + 1):
        tail = words[-period * TAIL_REPEATS :]
        if len(tail) == period * TAIL_REPEATS and len(tail) >= 8 and tail == tail[:period] * TAIL_REPEATS:
            return period
    return None


@cache
def _refusal_patterns() -> re.Pattern[str]:
    text = (files("faq_tui.core.regenerating") / "data" / "refusals.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return re.compile("|".join(f"(?:{line})" for line in lines), re.IGNORECASE)


def refusal_in(answer: str) -> str | None:
    """The words with which a short answer refuses the request; None if the answer does not refuse."""
    if len(answer) > LONGEST_REFUSAL:
        return None
    text = answer[:REFUSAL_BEGINS].replace("’", "'").replace("ʼ", "'")
    for start in _SENTENCE.finditer(text):
        match = _refusal_patterns().match(text, start.end())
        if match:
            return match[0]
    return None
