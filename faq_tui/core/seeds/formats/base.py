"""The base of seed formats. A format turns a file or a data set into records: one record, with its line, per seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.extensions import Extension
from faq_tui.core.settings import Seeds

# Keys of a JSON object. The value of such a key is the list of a chat's messages.
CHAT_FIELDS = ("messages", "conversations", "conversation")


@dataclass(frozen=True)
class Record:
    """The data of one seed as they are in the file. `core.seeds.shapes` turns them into a seed."""

    line: int  # number of the line, from 1; number of the row if the format has no lines
    raw: Any  # a dict of fields, or the question as a str


@dataclass(frozen=True)
class Problem:
    """A line or row without a usable record. `reason` continues the sentence "line 3 is …"."""

    line: int
    reason: str


Records = Iterator[Record | Problem]


class SeedFormat(Extension):
    """Reads seeds from one kind of file.

    `suffixes` are the endings of such files, in lower case and with the dot. A format without suffixes does not read
    files, and `recognises` decides which names it accepts.
    """

    suffixes: tuple[str, ...] = ()

    def recognises(self, path: Path, name: str) -> bool:
        """True if this format reads the seeds that `seeds.path` calls `name`. A file of that name would be `path`."""
        del name
        return path.suffix.lower() in self.suffixes

    def records(self, path: Path, settings: Seeds) -> Records:
        """Yield the records in the order of the file. They are read one at a time: a file may be larger than memory.

        `path` is absolute; `settings` is the section `[seeds]`. For a broken record a `Problem` is yielded,
        and reading continues with the next record. Raises UsageError if the file's content does not fit its ending.
        """
        raise NotImplementedError


def decoded_lines(path: Path) -> Records:
    """Yield the lines of a UTF-8 text file, without white space at their beginning and end.

    Empty lines, and lines that are not UTF-8, are yielded as problems. A byte order mark is removed.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                yield Problem(number, f"not UTF-8 (byte {error.start + 1} of the line)")
                continue
            yield Record(number, text) if text else Problem(number, "empty")


def one_line(error: BaseException) -> str:
    """The error's message on one line of at most 160 characters."""
    return " ".join(str(error).split())[:160] or type(error).__name__
