"""Read the last lines of a growing log without reading the whole file, or the first error of a program."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from faq_tui.core.base.text import sanitize

READ = 32_768  # number of bytes that are read from the end of the file
LONGEST = 400  # longer lines are cut to this many characters
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BAR = re.compile(r"\| \d+:\d\d:\d\d")  # matches the times in a progress bar

# Matches a line that only separates the rows of a table. The line may begin with a log level, such as INFO.
_RULE = re.compile(r"(?:[A-Z]+\s)?[\s\-+=|_*#]*")

# Matches the message of an error: "ValueError: no kernel", "Value error, no kernel" (pydantic), or "error: no such
# option" (argparse). The line in which pydantic only counts the errors is not matched.
_ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception)|(?:Value )?error)[:,] (?!\d+ validation error)\S.*")
_NO_ERROR = re.compile(r"\b(?:DEBUG|INFO|WARNING)\b")
MOST_READ = 4_000_000  # bytes in which the first error is searched for


def log_tail(path: Path, lines: int, start: int = 0) -> list[str]:
    """The last `lines` lines of the log, without control characters. The first `start` bytes are not read.

    Colours and separator lines of tables are removed. If a line or a progress bar was drawn several times, only its
    last state is kept. Repeated lines are merged. Returns [] if there is no file.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start, size - READ))
            data = file.read(READ)
    except OSError:
        return []
    raw = data.decode("utf-8", "replace").split("\n")
    if size - READ > start:
        del raw[0]  # the first line is incomplete, because its beginning was not read
    shown = (_ANSI.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in raw)
    kept = [line.rstrip() for line in shown if not _RULE.fullmatch(line[:LONGEST])]
    kept_lines = _last_of_bars([line for line, _ in groupby(kept)])
    return [sanitize(line, LONGEST) for line in kept_lines[-lines:]]


def first_error(path: Path, start: int = 0) -> str | None:
    """The first error message in the log after `start` bytes, without control characters.

    Servers print the cause first, and then errors of the processes that wait for the failed one. Returns None if
    there is no error message, or no file.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(MOST_READ)
    except OSError:
        return None
    for line in _ANSI.sub("", data.decode("utf-8", "replace")).splitlines():
        found = _ERROR.search(line[: 10 * LONGEST])
        if found and not _NO_ERROR.search(line[: found.start()]):
            return sanitize(found[0], LONGEST)
    return None


def _last_of_bars(lines: list[str]) -> list[str]:
    """Keep only the last state of each progress bar.

    If two lines differ only in numbers, they belong to the same bar.
    """
    names = [re.sub(r"\d+", "0", line[:LONGEST].partition("|")[0]) if _BAR.search(line) else None for line in lines]
    last = {name: index for index, name in enumerate(names)}
    return [
        line
        for index, (line, name) in enumerate(zip(lines, names, strict=True))
        if name is None or last[name] == index
    ]
