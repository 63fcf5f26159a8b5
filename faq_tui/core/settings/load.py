"""Read `faq.toml`.

Each mistake is reported in one sentence, which names the file, the key and the most similar valid key.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.shell import command_line
from faq_tui.core.extensions import METHODS
from faq_tui.core.settings.recipe import known_keys, model_of
from faq_tui.core.settings.schema import Settings

LARGEST = 10 << 20  # size of the largest settings file in bytes
LONGEST_VALUE = 200  # characters of a wrong value in an error
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def load_settings(path: Path) -> Settings:
    """The settings in `path`. Raises UsageError."""
    if path.is_fifo() or path.is_char_device():  # to read a pipe may block for ever, and a device may have no end
        raise UsageError(f"{path} is a pipe or a device, but must be a file: move it away")
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise UsageError(f"{path} has {size / 1e6:,.0f} MB, so it is no settings file: replace it")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"no settings at {path}: create them with `{command_line('init', path.parent)}`") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return parse_settings(text, str(path), path.parent)


def parse_settings(text: str, where: str = "faq.toml", folder: Path | None = None) -> Settings:
    """The settings in `text`, which is TOML. `where` is the name of the text in errors. Raises UsageError.

    Prompt files are read from `folder`. If `folder` is None, they are not read.
    """
    raw = parse_toml(text, where)
    for problem in _unusable(raw):
        raise UsageError(f"{where}: {problem.sentence}")
    try:
        return Settings.model_validate(raw, context={"folder": folder})
    except ValidationError as error:
        raise UsageError(f"{where}: {_sentence(error)}") from None


def parse_toml(text: str, where: str = "faq.toml") -> dict[str, Any]:
    """The values in `text`, which is TOML. `where` is the name of the text in errors. Raises UsageError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not valid TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{where} is not valid TOML: it is nested too deeply") from None
    except ValueError:  # Python refuses to read a decimal number with more than 4,300 digits
        raise UsageError(f"{where} holds a number with thousands of digits: correct the number") from None


@dataclass(frozen=True)
class SettingProblem:
    """A refused value. `location` is the path of the value's key; it is empty if several keys cause the problem."""

    location: tuple[int | str, ...]
    sentence: str


def check_values(raw: Mapping[str, Any], folder: Path) -> tuple[Settings | None, list[SettingProblem]]:
    """The settings with these values, or None, and all problems. The sentences are those of `parse_settings`.

    Prompt files are read from `folder`.
    """
    for problem in _unusable(raw):
        return None, [problem]
    try:
        return Settings.model_validate(raw, context={"folder": folder}), []
    except ValidationError as error:
        return None, [SettingProblem(one["loc"], _reason(one)) for one in error.errors(include_url=False)]


def _unusable(value: Any, location: tuple[int | str, ...] = ()) -> Iterator[SettingProblem]:
    """Yield a problem for each value that is invalid for every key.

    Paths and requests cannot contain the character NUL. By the definition of TOML, integers have at most 64 bits;
    neither the database nor JSON could hold larger ones.
    """
    if isinstance(value, str) and "\0" in value:
        yield SettingProblem(location, f"`{dotted(location)}` contains the character NUL: remove it")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield SettingProblem(location, f"`{dotted(location)}` is a number with more than 64 bits: correct the number")
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _unusable(inner, (*location, key))


def _sentence(error: ValidationError) -> str:
    # A mistyped key causes two errors: this key is unknown, and the correct key is missing. The unknown key is
    # reported.
    errors = error.errors(include_url=False)
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{_reason(first)}{more}"


def _reason(error: ErrorDetails) -> str:
    """One error of pydantic as a sentence without the name of the file."""
    location = error["loc"]
    key = dotted(location)
    if error["type"] == "extra_forbidden":
        names = _keys_beside(location)
        near = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"valid keys: {', '.join(sorted(names))}"
        return f"unknown key `{key}`; {hint}"
    if error["type"] == "missing":
        return f"`{key}` is missing"
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error" and not key:
        return reason
    given = error.get("input")
    shown = f", not {_in_short(given)}" if isinstance(given, str | int | float | bool) else ""
    return f"`{key}`: {reason[:1].lower()}{reason[1:]}{shown}"


def _in_short(given: str | float) -> str:
    """The value as Python writes it. A long value is cut off."""
    text = repr(given[: LONGEST_VALUE + 1] if isinstance(given, str) else given)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def dotted(location: Iterable[int | str]) -> str:
    """The path of a key as text, such as `recipes[1].bits`."""
    out = ""
    for part in location:
        if isinstance(part, int):
            out += f"[{part + 1}]"  # messages count recipes from 1
        else:
            if not part:  # if a key also allows "off", pydantic adds an empty part
                continue
            word = part if BARE_KEY.fullmatch(part) else json.dumps(part)
            out += f".{word}" if out else word
    return out


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The valid keys of the section that has the unknown key."""
    here: list[Any] = [Settings]
    parts = location[:-1]
    if location[0] == "recipes":
        if len(location) <= 3:
            return list(known_keys())
        models = [model_of(name) for name in METHODS.names()]
        here, parts = [model for model in models if location[2] in model.model_fields], location[2:-1]
    for part in parts:
        here = [inner for annotation in here for inner in _inside(annotation, part)]
    sections = (one for one in here if isinstance(one, type) and issubclass(one, BaseModel))
    names = (field.alias or name for section in sections for name, field in section.model_fields.items())
    return list(dict.fromkeys(names))


def _inside(annotation: Any, part: int | str) -> list[Any]:
    """The possible types of the value at `part`. `part` is a key of a section or table, or an index of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        field_info = next((field for name, field in fields if part in (name, field.alias)), None)
        # here `part` is the tag of a union member, not the name of a field
        return [annotation] if field_info is None else _members(field_info.annotation)
    arguments = [one for one in typing.get_args(annotation) if one is not Ellipsis]
    return _members(arguments[-1]) if arguments else []


def _members(annotation: Any) -> list[Any]:
    """The member types of a union. If the type is not a union, the result is a list with only this type."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return [annotation]
    return [member for one in typing.get_args(annotation) for member in _members(one)]
