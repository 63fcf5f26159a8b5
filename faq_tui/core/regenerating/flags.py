"""What makes a candidate unfit to be picked, found without any model."""

from __future__ import annotations

import zlib

from faq_tui.core.endpoints import Reply

TRUNCATED, UNCLOSED, EMPTY, LOOP = "truncated", "unclosed_think", "empty", "loop"

LOOP_MIN_CHARACTERS = 300
LOOP_RATIO = 5.0  # prose compresses by 1.5 to 3 at these lengths, a loop by 6 and more
TAIL_WORDS, TAIL_REPEATS = 30, 4


def flags_of(reply: Reply, reasoning: str, answer: str) -> tuple[str, ...]:
    """The reasons why this reply must not be assembled; none if it may."""
    found = []
    if reply.finish_reason == "length":
        found.append(TRUNCATED)
    if not reply.closed:
        found.append(UNCLOSED)
    if not answer.strip():
        found.append(EMPTY)
    if loops(f"{reasoning}\n{answer}"):
        found.append(LOOP)
    return tuple(found)


def loops(text: str) -> bool:
    """True if the text repeats itself as a whole, or ends by saying the same words again and again."""
    data = text.encode()
    if len(data) >= LOOP_MIN_CHARACTERS and len(data) / len(zlib.compress(data, 6)) > LOOP_RATIO:
        return True
    words = text.split()
    for period in range(1, TAIL_WORDS + 1):
        tail = words[-period * TAIL_REPEATS :]
        if len(tail) == period * TAIL_REPEATS and len(tail) >= 8 and tail == tail[:period] * TAIL_REPEATS:
            return True
    return False
