"""Text from models, files and servers, made harmless for a terminal."""

from __future__ import annotations

import unicodedata

# Bidirectional overrides and isolates reorder what stands around them.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def literal(text: str, limit: int | None = None, newlines: bool = False) -> str:
    """The text with every control, bidi and surrogate character replaced by U+FFFD; tabs become spaces.

    Newlines are kept only if asked for. `limit` cuts the text to so many characters.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    return "".join(_safe(char, newlines) for char in text)


def _safe(char: str, newlines: bool) -> str:
    if char == "\n":
        return "\n" if newlines else " "
    if char in "\t\u2028\u2029":  # the last two end a line for Python's `splitlines` and some terminals
        return " "
    if char in _BIDI or unicodedata.category(char) in ("Cc", "Cs"):
        return "\ufffd"
    return char
