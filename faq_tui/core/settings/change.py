"""Change values in the text of a run's `faq.toml`. The file keeps its comments, its order and its line endings.

A change is accepted only if the new text has exactly the wanted values and all comments of the old text. Otherwise
the change is refused, and the person has to edit the file.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings.comments import toml_key, toml_value
from faq_tui.core.settings.edit import replace_text
from faq_tui.core.settings.load import dotted, parse_settings
from faq_tui.core.settings.schema import Settings

HEADER = re.compile(r"\s*\[.*\]\s*(#.*)?")
# A string, or a comment. Strings are matched so that a "#" inside a string is not taken for a comment.
TOKENS = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|(?P<comment>#[^\n]*)', re.DOTALL
)
BOM = b"\xef\xbb\xbf"
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Change:
    """A new value of one key. If `value` is None, the key is removed from the file and has its default again.

    `table` is the path of the section, for example ("sources", "elder") or ("recipes", 0). `inner` is the path of the
    key within the section, for example ("sampling", "top_p").
    """

    table: KeyPath
    inner: tuple[str, ...]
    value: Any

    @property
    def path(self) -> KeyPath:
        return (*self.table, *self.inner)


def value_at(raw: Any, path: Iterable[str | int]) -> Any:
    """The value at `path`; None if there is none."""
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def with_changes(raw: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """A copy of the values `raw` with the changes. Raises UsageError if a section is no table."""
    changed = copy.deepcopy(dict(raw))
    for change in changes:
        here: Any = changed
        try:
            for part in change.path[:-1]:
                if isinstance(part, str) and part not in here:
                    if change.value is None:
                        break
                    here[part] = {}
                here = here[part]
            else:
                if change.value is None:
                    here.pop(change.path[-1], None)
                else:
                    here[change.path[-1]] = change.value
        except (KeyError, IndexError, TypeError, AttributeError):
            raise UsageError(f"faq.toml has no section for `{dotted(change.path)}` now") from None
    return changed


def changed_text(text: str, changes: Iterable[Change]) -> str:
    """The text of the file after the changes. Raises UsageError if a change would lose a comment."""
    for change in changes:
        text = _changed(text, change)
    return text


def save_changes(path: Path, changes: Iterable[Change]) -> Settings:
    """Change the file at once, or not at all. Raises UsageError if the new settings would be invalid."""
    folder, path = path.parent, path.resolve()  # if the path is a link, edit the file that it points to
    try:
        before = path.read_bytes()
        mark, text = (BOM, before[len(BOM) :]) if before.startswith(BOM) else (b"", before)
        edited = changed_text(text.decode(), changes)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    settings = parse_settings(edited, str(path), folder)
    if path.read_bytes() != before:
        raise UsageError(f"{path} was changed by another program at the same time: try again")
    replace_text(path, edited, mark)
    return settings


def _changed(text: str, change: Change) -> str:
    raw = tomllib.loads(text)
    wanted = with_changes(raw, [change])
    if wanted == raw and value_at(raw, change.path) == change.value:
        return text
    ways: tuple[Callable[[str, Change, Mapping[str, Any]], str], ...]
    if change.value is None:
        ways = (_removed, _rebuilt, _by_library)
    else:
        ways = (_replaced, _inserted, _rebuilt, _by_library, _appended)
    reason = "its section has an unusual form"
    for way in ways:
        try:
            new = way(text, change, raw)
            if tomllib.loads(new) == wanted:
                if _has_comments_of(text, new):
                    return new
                reason = "a comment would be lost"
        except (TOMLKitError, tomllib.TOMLDecodeError, LookupError, TypeError, ValueError, AttributeError):
            continue  # this function cannot handle the form of the file, so try the next function
    raise UsageError(f"`{dotted(change.path)}` cannot be changed here, because {reason}: change it in your editor")


def _has_comments_of(before: str, after: str) -> bool:
    remaining = "\n".join(_comments(after))
    return all(remaining.count(comment) >= count for comment, count in _counted(_comments(before)).items())


def _comments(text: str) -> list[str]:
    return [match["comment"].strip() for match in TOKENS.finditer(text) if match["comment"]]


def _counted(comments: list[str]) -> dict[str, int]:
    return {comment: comments.count(comment) for comment in set(comments)}


# The functions that change the text. Each of these functions may fail or give a wrong result, so `_changed` checks
# the results.


def _replaced(text: str, change: Change, raw: Mapping[str, Any]) -> str:
    """Replace the value of a key that the file has. The comment beside the value stays in its column."""
    if value_at(raw, change.path) is None:
        raise KeyError(change.path[-1])
    document = tomlkit.parse(text)
    holder: Any = document
    for part in change.path[:-1]:
        holder = holder[part]
    key = change.path[-1]
    before = len(holder[key].as_string())
    holder[key] = tomlkit.value(toml_value(change.value))
    item = holder[key]
    grown = len(item.as_string()) - before
    space = item.trivia.comment_ws
    if len(space) > 1 and not space.strip(" "):
        item.trivia.comment_ws = " " * max(2, len(space) - grown)
    return tomlkit.dumps(document)


def _inserted(text: str, change: Change, raw: Mapping[str, Any]) -> str:
    """Add a line for the key: below the comment that shows the key, or else below the last key of the section."""
    if len(change.inner) > 1 and value_at(raw, change.path[:-1]) is not None:
        return _inserted(text, Change((*change.table, change.inner[0]), change.inner[1:], change.value), raw)
    lines = text.splitlines(keepends=True)
    begin, end = _section(lines, change.table)
    value = change.value
    for part in reversed(change.inner[1:]):
        value = {part: value}
    name = change.inner[0]
    example = re.compile(rf"\s*#\s*{re.escape(toml_key(name))}\s*=")
    examples = [i for i in range(begin, end) if example.match(lines[i]) and _is_whole(lines[i])]
    filled = [i for i in range(begin, end) if (line := lines[i].strip()) and not line.startswith("#")]
    after = examples[-1] if examples else filled[-1]
    newline = "\r\n" if "\r\n" in text else "\n"
    if not lines[after].endswith("\n"):
        lines[after] += newline
    indent = lines[after][: len(lines[after]) - len(lines[after].lstrip())]
    lines.insert(after + 1, f"{indent}{toml_key(name)} = {toml_value(value)}{newline}")
    return "".join(lines)


def _is_whole(line: str) -> bool:
    """True if the value in a comment ends on this line."""
    body = line.partition("=")[2]
    return body.count("[") == body.count("]") and body.count("{") == body.count("}")


def _rebuilt(text: str, change: Change, raw: Mapping[str, Any]) -> str:
    """Replace the inline table that contains the key by a new one."""
    if len(change.inner) < 2 or not isinstance(whole := value_at(raw, change.path[:-1]), dict):
        raise KeyError(change.path[-1])
    value = {key: item for key, item in whole.items() if key != change.inner[-1]}
    if change.value is not None:
        value[change.inner[-1]] = change.value
    return _replaced(text, Change(change.table, change.inner[:-1], value), raw)


def _by_library(text: str, change: Change, raw: Mapping[str, Any]) -> str:  # noqa: ARG001
    """Change the text with the library tomlkit, which chooses the line.

    The library handles sections without a heading `[…]`, and strings that look like a heading.
    """
    document = tomlkit.parse(text)
    holder: Any = document
    for part in change.path[:-1]:
        holder = holder[part]
    if change.value is None:
        del holder[change.path[-1]]
    else:
        holder[change.path[-1]] = tomlkit.value(toml_value(change.value))
    return tomlkit.dumps(document)


def _appended(text: str, change: Change, raw: Mapping[str, Any]) -> str:
    """Write a new section at the end of the file."""
    if value_at(raw, change.table) is not None:
        raise KeyError(change.path[-1])
    newline = "\r\n" if "\r\n" in text else "\n"
    value = change.value
    for part in reversed(change.inner[1:]):
        value = {part: value}
    head = ".".join(toml_key(str(part)) for part in change.table)
    between = "" if not text or text.endswith("\n") else newline
    return f"{text}{between}{newline}[{head}]{newline}{toml_key(change.inner[0])} = {toml_value(value)}{newline}"


def _removed(text: str, change: Change, raw: Mapping[str, Any]) -> str:
    """Remove the lines of the key. If the lines contain a comment, comment the lines out instead."""
    if len(change.inner) > 1:
        return _removed(text, Change((*change.table, change.inner[0]), change.inner[1:], None), raw)
    lines = text.splitlines(keepends=True)
    begin, end = _section(lines, change.table)
    assignment = re.compile(rf"\s*(?:{re.escape(change.inner[0])}|{re.escape(toml_key(change.inner[0]))})\s*=")
    first = next(i for i in range(begin, end) if assignment.match(lines[i]))
    wanted = with_changes(raw, [change])
    for last in range(first, end):  # the value may have several lines
        without = "".join([*lines[:first], *lines[last + 1 :]])
        try:
            if tomllib.loads(without) == wanted:
                break
        except tomllib.TOMLDecodeError:
            continue
    value = lines[first : last + 1]
    if _comments("".join(value)):
        return "".join([*lines[:first], *(f"# {line}" for line in value), *lines[last + 1 :]])
    return without


def _section(lines: list[str], table: KeyPath) -> tuple[int, int]:
    """The lines of a section: the index of its heading, and the index after its last line. Raises StopIteration."""
    heads: list[tuple[int, KeyPath]] = []
    counts: dict[str, int] = {}
    for index, line in enumerate(lines):
        if HEADER.fullmatch(line.rstrip("\r\n")):
            try:
                path = _path_of(tomllib.loads(line), counts)
            except tomllib.TOMLDecodeError:
                continue
            heads.append((index, path))
    at = next((i for i, (_, path) in enumerate(heads) if path == table), None)
    if at is None:
        raise KeyError(table)
    return heads[at][0], heads[at + 1][0] if at + 1 < len(heads) else len(lines)


def _path_of(head: Any, counts: dict[str, int]) -> KeyPath:
    """The path in a section's heading. Tables of a list, such as `[[recipes]]`, are numbered with `counts`."""
    path: list[str | int] = []
    while head:
        if isinstance(head, list):
            name = dotted(path)
            counts[name] = counts.get(name, -1) + 1
            path.append(counts[name])
            head = head[0]
        else:
            (key, head), *_ = head.items()
            path.append(key)
    return tuple(path)
