"""Text that repeats itself.

Three signs, since each misses what another sees: the whole text compresses too well; most runs of words were there
before; the text ends by saying the same words again and again. Their thresholds lie far from what prose, code and
tables of numbers reach (zlib 1.5 to 3.5, at most 0.3 of the 8-grams), and loops pass them at once.
"""

from __future__ import annotations

import re
import zlib

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
