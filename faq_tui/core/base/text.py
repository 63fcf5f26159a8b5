"""Make text from models, files and servers safe for terminals and UTF-8 files.

Write durations, counts and lists in words. Measure how deeply the brackets of a text are nested.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet runs a cell that begins with one of these
# These characters change the direction in which a terminal shows text.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def sanitize(text: str, limit: int | None = None, newlines: bool = False) -> str:
    """Replace every control, bidi and surrogate character by U+FFFD. Tabs become spaces.

    Newlines become spaces unless `newlines` is true. The result has at most `limit` characters.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    safe = text.translate(_SAFE)
    return safe if newlines else safe.replace("\n", " ")


class _Safe(dict[int, str]):
    """A table for `str.translate`. The table classifies each character only once, so long texts take little time."""

    def __missing__(self, code: int) -> str:
        self[code] = safe = _safe(chr(code))
        return safe


def _safe(char: str) -> str:
    if char == "\n":
        return char
    if char in "\t\u2028\u2029":  # `splitlines` and some terminals treat U+2028 and U+2029 as line ends
        return " "
    if char in _BIDI or unicodedata.category(char) in ("Cc", "Cs"):
        return "\ufffd"
    return char


_SAFE = _Safe()


def storable(text: str) -> str:
    """Replace each lone surrogate by U+FFFD. JSON and file names can contain surrogates, but UTF-8 text cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text


def with_joined_surrogates(text: str) -> str:
    """Join each surrogate pair into one character, and replace lone surrogates by U+FFFD.

    The two halves of a pair may have come in two parts of a stream.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def csv_cell(value: object) -> object:
    """The value for a cell of a CSV file. A spreadsheet would run a text such as `=1+1` as a formula, so such a text
    gets an apostrophe before it. Numbers stay as they are.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def duration(seconds: float, exact: bool = False) -> str:
    """The duration as text, such as `45 s`, `12 min` or `3 h 05 min`.

    If `exact` is true, the text is more precise, such as `4.5 s` or `12 min 03 s`. Use `exact` for measured times.
    """
    if exact and seconds < 60:
        return f"{seconds:.1f} s"
    if not exact and seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes, rest = divmod(round(seconds), 60) if exact else (round(seconds / 60), 0)
    if minutes >= (60 if exact else 90):
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if exact else f"{minutes} min"


def size(number: float) -> str:
    """A number of bytes in decimal units, such as `16.4 GB` or `93 MB`."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.{0 if number >= 1e7 else 1}f} MB"


def amount(done: int, total: int) -> str:
    """Two numbers of bytes, both in the unit that suits `total`, such as `3.1 of 16.4 GB`."""
    unit = size(total).rpartition(" ")[2]
    part = done / (1e9 if unit == "GB" else 1e6)
    return f"{part:.{1 if unit == 'GB' or total < 1e7 else 0}f} of {size(total)}"


def counted(number: int, one: str, several: str = "") -> str:
    """The number with its noun, such as `1 seed` or `2,000 seeds`.

    `several` is the plural of `one`. Give it if the plural is not `one` with an s, or if a verb follows, such as
    `seed is` and `seeds are`.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def in_a_row(words: Sequence[str]) -> str:
    """The words as one phrase, such as `a`, `a and b` or `a, b and c`. "" if there are no words."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def bracket_depth(text: str) -> int:
    """The depth of nested brackets in `text`. Brackets inside strings are counted, too."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest
