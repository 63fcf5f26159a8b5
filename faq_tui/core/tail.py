"""The end of a growing log, without reading the rest of it."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from faq_tui.core.literal import literal

READ = 32_768  # bytes from the end
LONGEST = 400  # characters of a line
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_RULE = re.compile(r"(?:[A-Z]+\s)?[\s\-+=|_*#]*")  # lines of tables, with or without a level before them


def tail(path: Path, lines: int) -> list[str]:
    """The last lines as literal text, without colours and rules; of a line overwritten in place its
    last state, of one said again and again one.

    A file that is not there has no lines.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - READ))
            data = file.read(READ)
    except OSError:
        return []
    found = data.decode("utf-8", "replace").split("\n")
    if size > READ:
        del found[0]  # its beginning was not read
    shown = (_ANSI.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in found)
    kept = [line.rstrip() for line in shown if not _RULE.fullmatch(line[:LONGEST])]
    told = [line for line, _ in groupby(kept)]  # a progress bar says the same line again and again
    return [literal(line, LONGEST) for line in told[-lines:]]
