"""The base class of seed formats.

A format turns a file or a data set into records. Each record can become one seed and has a line number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.extensions import Extension
from faq_tui.core.seeds.formats.opening import opened
from faq_tui.core.settings import Seeds

LONGEST_LINE = 1 << 28  # maximum length of a line in bytes


@dataclass(frozen=True)
class Record:
    """One record of the file. `core.seeds.shapes` turns it into a Seed."""

    line: int  # number of the line, from 1; number of the row if the format has no lines
    raw: Any  # a dict of fields, a list of turns, or a str with the question
    file: str = ""  # the file's name, as a seed's origin shows it; "" if there is only one file


@dataclass(frozen=True)
class Problem:
    """A line or row of the file that is not a valid record. `reason` continues the sentence "line 3 is …"."""

    line: int
    reason: str
    file: str = ""


Records = Iterator[Record | Problem]


class SeedFormat(Extension):
    """Reads seeds from one kind of file.

    `suffixes` are the file extensions of such files, in lower case and with the dot. A format without suffixes does
    not read single files: its method `recognises` decides which values of `seeds.path` the format reads.
    """

    suffixes: tuple[str, ...] = ()
    # True if the method `records` unpacks compressed files with `opening.opened`. If False, `records` gets the path
    # of an unpacked copy.
    unpacks = False

    def recognises(self, path: Path, name: str) -> bool:
        """True if this format reads `name`, the value of `seeds.path`.

        If `name` names a file, `path` is the path of this file.
        """
        del name
        return path.suffix.lower() in self.suffixes

    def records(self, path: Path, settings: Seeds) -> Records:
        """The records in the order of the file, one at a time, so that a file may be larger than memory.

        `path` is absolute; `settings` is the section `[seeds]`. A broken record is yielded as a `Problem`, and
        reading continues after it. Raises UsageError if the file's content is not in this format.
        """
        raise NotImplementedError


def decoded_lines(path: Path, encoding: str | None = None) -> Records:
    """The lines of a text file, without white space at either end of a line.

    If `encoding` is None, the text is in UTF-8.

    Empty lines, lines that are not UTF-8 and lines longer than LONGEST_LINE are yielded as problems. A byte order
    mark is dropped. Raises the same errors as `opening.opened`.
    """
    with opened(path, encoding) as file:
        number = 0
        while raw := file.readline(LONGEST_LINE):
            number += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                while len(more := file.readline(LONGEST_LINE)) == LONGEST_LINE and not more.endswith(b"\n"):
                    pass
                yield Problem(number, f"longer than {LONGEST_LINE >> 20} MiB")
                continue
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                yield Problem(number, f"not UTF-8 (byte {error.start + 1} of the line)")
                continue
            yield Record(number, text) if text else Problem(number, "empty")


def one_line(error: BaseException) -> str:
    """The message of the error, shortened to one line of at most 160 characters."""
    return " ".join(str(error).split())[:160] or type(error).__name__
