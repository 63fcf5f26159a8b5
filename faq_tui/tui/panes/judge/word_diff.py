"""Compare two texts word by word, to find the words that only one of them has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

MOST_WORDS = 2000  # maximum number of compared words of each text; longer comparisons would block the screen
MOST_PAIRS = 1_000_000  # maximum number of pairs of equal words; if there are more, frequent words are not compared
TOKEN = re.compile(r"\s*(?:\w+|[^\w\s]|$)")  # a word or a sign, with the space before it

Piece = tuple[str, bool]  # (text, True if only this text has these words)


def compare(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Return the pieces of each text in order. Joined, the pieces of a text are the whole text.

    Words that both texts have in the same order are common. A few common words between long differences count as
    different, because they probably match by chance.

    Only the first `MOST_WORDS` words are compared. The rest of a longer text is one piece that is not marked.
    """
    first, second = ([token for token in TOKEN.findall(text) if token] for text in (one, other))
    left, right = first[:MOST_WORDS], second[:MOST_WORDS]
    blocks = _common(left, right)
    return (
        _pieces(left, [(a, size) for a, _, size in blocks], "".join(first[MOST_WORDS:])),
        _pieces(right, [(b, size) for _, b, size in blocks], "".join(second[MOST_WORDS:])),
    )


def differing(pieces: Sequence[Piece]) -> int:
    """The number of words in the pieces that only one text has."""
    return sum(len(re.findall(r"\w+", text)) for text, differs in pieces if differs)


def _common(left: list[str], right: list[str]) -> list[tuple[int, int, int]]:
    """Return the sequences of common words in order, as (start in the left text, start in the right text, length)."""
    words = [token.strip() for token in left], [token.strip() for token in right]
    counts = Counter(words[0]), Counter(words[1])
    pairs = sum(count * counts[1][word] for word, count in counts[0].items())
    matcher = SequenceMatcher(None, *words, autojunk=pairs > MOST_PAIRS)
    blocks = [tuple(block) for block in matcher.get_matching_blocks() if block.size]
    kept: list[tuple[int, int, int]] = []
    ends = [*blocks[1:], (len(left), len(right), 0)]
    for (a, b, size), (next_a, next_b, _) in zip(blocks, ends, strict=False):
        last_a, last_b, last = kept[-1] if kept else (0, 0, 0)
        before = max(a - last_a - last, b - last_b - last)
        after = max(next_a - a - size, next_b - b - size)
        if size >= min(before, after, 8):  # skip a sequence of words that probably match by chance
            kept.append((a, b, size))
    return kept


def _pieces(tokens: list[str], common: list[tuple[int, int]], rest: str) -> list[Piece]:
    pieces: list[Piece] = []
    at = 0
    for start, size in [*common, (len(tokens), 0)]:
        if start > at:
            pieces.append(("".join(tokens[at:start]), True))
        if size:
            pieces.append(("".join(tokens[start : start + size]), False))
        at = start + size
    return [*pieces, (rest, False)] if rest else pieces
