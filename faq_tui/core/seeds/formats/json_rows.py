"""Read the records of JSON files: one value per line, or one list.

The content of the file decides which form is read, even if the suffix stands for the other form.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds.formats.base import Problem, Record, Records, decoded_lines, one_line
from faq_tui.core.seeds.formats.opening import opened
from faq_tui.core.seeds.turns import CHAT_FIELDS, as_turns
from faq_tui.core.settings import Seeds

BROKEN_AT_FIRST = 20  # if this many lines at the beginning are all broken, the file is not JSON
CHUNK = 1 << 20  # number of bytes that are read at once
LONGEST_FIRST_LINE = 1 << 24  # only this many characters are searched for the end of the first line
LONGEST_ROW = 1 << 28  # maximum length of one row of a list, in characters
# maximum length in characters of an object that holds the list of seeds, because the whole object is read into memory
LONGEST_OBJECT = 1 << 32
SPACE = " \t\r\n"


def rows_of_lines(path: Path, settings: Seeds) -> Records:
    """A record for each line. Raises UsageError if the file is not JSON."""
    good, broken, first = 0, 0, True
    for item in decoded_lines(path, settings.encoding):
        if isinstance(item, Problem):
            first = False
            yield item
            continue
        text = item.raw
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            if first and (text in ("[", "{") or (text.startswith("[") and not text.endswith("]"))):
                yield from rows_of_document(path, settings)  # the file may be one JSON value on several lines
                return
            first = False
            broken += 1
            if not good and broken > BROKEN_AT_FIRST:
                break  # the code after the loop raises the error
            yield Problem(item.line, f"not JSON ({one_line(error)})")
            continue
        if not good and not broken and isinstance(raw, list) and not as_turns(raw):
            if not first or _has_further_lines(path, settings, item.line):
                raise UsageError(f"{path} holds one JSON array, not one JSON object per line: rename it to .json")
            yield from rows_of_document(path, settings)
            return
        first = False
        good += 1
        yield Record(item.line, raw)
    if broken and not good:
        raise UsageError(f"{path} does not match its file extension: none of its first {broken} lines is JSON")


def rows_of_document(path: Path, settings: Seeds) -> Records:
    """Yield a record for each row of the list in the file, or for each line if the file holds JSON lines."""
    with _document(path, settings) as text:
        lines = text.begins_with_json_lines()
        if not lines:
            rows = text.rows() if text.peek() == "[" else iter(_rows_of_objects(text, settings))
            for row, raw in enumerate(rows, 1):
                yield Record(row, raw)
    if lines:
        yield from rows_of_lines(path, settings)


def _has_further_lines(path: Path, settings: Seeds, line: int) -> bool:
    further = (item for item in decoded_lines(path, settings.encoding) if item.line > line)
    return any(isinstance(item, Record) for item in further)


@contextmanager
def _document(path: Path, settings: Seeds) -> Iterator[_Document]:
    with opened(path, settings.encoding) as file:
        yield _Document(file, path)


class _Document:
    """The text of a JSON file, read in pieces."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._read = 0  # number of bytes that were read
        self._text, self._at, self._ended = "", 0, False
        self._json = json.JSONDecoder()

    def fail(self, reason: str) -> UsageError:
        return UsageError(f"{self.path} does not match its file extension: {reason}")

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def begins_with_json_lines(self) -> bool:
        """True if the first line is a complete object or chat, and another line follows."""
        if self.peek() not in ("{", "["):
            return False
        while "\n" not in self._text[self._at :]:
            if len(self._text) > LONGEST_FIRST_LINE or not self._more():
                return False
        end = self._text.index("\n", self._at)
        try:
            raw = json.loads(self._text[self._at : end])
        except (ValueError, RecursionError):
            return False
        if not isinstance(raw, dict) and not as_turns(raw):
            return False
        while not self._text[end:].strip(SPACE):
            if len(self._text) > LONGEST_FIRST_LINE or not self._more():
                return False
            end = self._text.index("\n", self._at)
        return self._text[end:].lstrip(SPACE)[0] in "{["

    def rows(self) -> Iterator[Any]:
        """The rows of the list, one at a time.

        If the items of the list are the turns of one chat, the whole list is one row.
        """
        self._at += 1
        if self.peek() == "]":
            self._at += 1
            return self._end()
        first = self._value(1)
        if as_turns([first]):
            yield from self._chat_or_rows(first)
            return None
        yield first
        row = 1
        while self._go_on(row):
            row += 1
            yield self._value(row)
        return self._end()

    def whole(self) -> str:
        """Read the file to its end, and return all text that is not processed yet."""
        while self._more():
            if len(self._text) > LONGEST_OBJECT:
                raise self.fail("its JSON object is too long to be read at once; write JSON lines instead")
        return self._text[self._at :]

    def _chat_or_rows(self, first: Any) -> Iterator[Any]:
        """The rows of a list whose first row could be the first turn of a chat."""
        rows, row = [first], 1
        while self._go_on(row):
            row += 1
            rows.append(self._value(row))
        self._end()
        texts = ("content", "value")
        chat = all(isinstance(turn, dict) and any(key in turn for key in texts) for turn in rows)
        yield from [rows] if chat and as_turns(rows) else rows

    def _go_on(self, row: int) -> bool:
        """True if the list has another row after row number `row`."""
        mark = self.peek()
        if mark not in (",", "]") or not mark:
            raise self.fail(f"not JSON (neither a comma nor the end of the list follows row {row})")
        self._at += 1
        return mark == ","

    def _end(self) -> None:
        if self.peek():
            raise self.fail("not JSON (further text after the end of the list)")

    def _value(self, row: int) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except RecursionError:
                raise self.fail(f"not JSON (row {row} is nested too deeply)") from None
            except ValueError as error:
                if len(self._text) - self._at > LONGEST_ROW:
                    raise self.fail(f"not JSON (row {row} does not end)") from None
                if not self._more():
                    reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    raise self.fail(f"not JSON ({reason[:80]} in row {row})") from None
                continue
            # if the text ends in a number, its next digits may still be unread
            if end < len(self._text) or not self._more():
                self._at = end
                return value

    def _more(self) -> bool:
        """Append more text from the file. The new text is at least as long as the text that is still unprocessed.

        Returns False at the end of the file.
        """
        if self._ended:
            return False
        data = self._file.read(max(CHUNK, len(self._text) - self._at))
        self._ended = not data
        waiting = len(self._decoder.getstate()[0])
        try:
            new = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            at = self._read - waiting + error.start + 1
            raise self.fail(f"not UTF-8 text (byte {at}); save it as UTF-8, or set seeds.encoding") from None
        self._read += len(data)
        self._text, self._at = self._text[self._at :] + new, 0
        return not self._ended or bool(new)


def _rows_of_objects(text: _Document, settings: Seeds) -> list[Any]:
    """The rows in the text of a JSON file. The text is one object with a list or a chat, or several objects."""
    whole = text.whole()
    try:
        data = json.loads(whole)
    except (ValueError, RecursionError) as error:
        several = _several_objects(whole) if str(error).startswith("Extra data") else None
        if several is None:
            raise text.fail(f"not JSON ({one_line(error)})") from None
        return several
    named = (settings.fields or {}).get("rows")
    if named is not None:
        data = data.get(named) if isinstance(data, dict) else None
        if not isinstance(data, list):
            raise UsageError(f"{text.path} holds no list {named!r}: correct the value of `rows` in seeds.fields")
        return data
    if isinstance(data, dict) and any(isinstance(data.get(name), list) for name in CHAT_FIELDS):
        return [data]  # the object is one conversation
    if isinstance(data, dict):
        rows = _rows_of_columns(data)
        if rows:
            return rows
        lists = [value for value in data.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise UsageError(
                f"{text.path} holds an object with {len(lists)} lists: faq-tui needs one list of seeds; "
                "set seeds.fields = { rows = NAME }"
            )
        data = lists[0]
    if not isinstance(data, list):
        raise UsageError(f"{text.path} holds no list of seeds")
    return data


def _rows_of_columns(data: dict[str, Any]) -> list[Any]:
    """The rows of an object whose values are columns; [] for other objects.

    pandas writes such an object. Each column is a list, or an object that maps row numbers to values.
    """
    columns = list(data.values())
    if len(columns) < 2 or not columns[0]:
        return []
    if all(isinstance(one, dict) and one.keys() == columns[0].keys() for one in columns):
        if not all(name.lstrip("-").isdigit() for name in columns[0]):
            return []
        columns = [[one[name] for name in columns[0]] for one in columns]
    if not all(isinstance(one, list) and len(one) == len(columns[0]) for one in columns):
        return []
    # lists of objects hold rows, not the values of a column
    if any(isinstance(value, dict) for one in columns for value in one):
        return []
    return [dict(zip(data, values, strict=True)) for values in zip(*columns, strict=True)]


def _several_objects(text: str) -> list[Any] | None:
    """The JSON objects in the text, in order; None if the text contains anything else."""
    decoder, found, at = json.JSONDecoder(), list[Any](), 0
    text = text.strip(SPACE)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        found.append(value)
        while at < len(text) and text[at] in SPACE:
            at += 1
    return found
