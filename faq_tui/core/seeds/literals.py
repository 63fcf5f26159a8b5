"""Read lists and objects that are written as Python literals. pandas writes such literals into CSV files."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from faq_tui.core.base.text import bracket_depth

LONGEST, DEEPEST = 1 << 20, 20  # maximum number of characters, and maximum depth of nested brackets
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\"""", re.DOTALL)
_OUTSIDE = re.compile(r"(?:[\s\[\]{}():,.+-]|\b(?:None|True|False|\d+)\b)*+")
# matches the gap between two items of a list that numpy has written without commas
_NO_COMMA = re.compile(r"\}\s*\n\s*\{")


def python_literal(text: str) -> Any:
    """The list or dict in the text; None for any other text.

    The text can be hostile. Therefore only a short text of strings, numbers and brackets is parsed.
    """
    if len(text) > LONGEST or "'" not in text:
        return None
    outside = _STRING.sub("", text)
    if "_" in outside or "--" in outside or not _OUTSIDE.fullmatch(outside) or bracket_depth(outside) > DEEPEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            found = ast.literal_eval(_with_commas(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list | dict) else None


def _with_commas(text: str) -> str:
    """Insert the missing comma between an object and another object on the next line.

    Strings are not changed, because Python writes a line end in a string as an escape.
    """
    return _NO_COMMA.sub("}, {", text)
