"""The settings in which two runs differ, key by key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from faq_tui.core.regenerating.candidate_requests import prompt_version
from faq_tui.core.settings.recipe import Recipe
from faq_tui.core.settings.schema import Settings

SECRET = "extra_headers"  # the values of this table may be API keys, so they are never shown
HIDDEN = "(not shown)"
PRESENT = "present"
ABSENT = "–"  # shown if a run does not have the key


@dataclass(frozen=True)
class SettingDifference:
    """A key with different values. A value is None if the run does not have the key, or has it without a value."""

    key: str  # such as `sources.elder.model` or `recipes[gptq-w4g128].bits`
    one: Any
    other: Any

    @property
    def words(self) -> tuple[str, str]:
        """Both values as text."""
        return _text(self.one), _text(self.other)


def setting_differences(one: Settings, other: Settings) -> tuple[SettingDifference, ...]:
    """The keys whose values differ, in the order of the schema. If a run does not set a key, the default is compared.

    The recipes of both runs are paired by the names of their artefacts. If only one run has a source, a set or a
    recipe, one line says so.
    """
    ours, theirs = dict(_flat(one)), dict(_flat(other))
    keys = [key for key in dict.fromkeys((*ours, *theirs)) if ours.get(key) != theirs.get(key)]
    lacking = tuple(key for key in keys if PRESENT in (ours.get(key), theirs.get(key)))  # tables of only one run
    inside = tuple(f"{table}{sign}" for table in lacking for sign in ". ")
    return tuple(_difference(key, ours.get(key), theirs.get(key)) for key in keys if not key.startswith(inside))


def _flat(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) for each setting, and (name of the table, PRESENT) for each source, set and recipe."""
    for section, value in settings.model_dump(mode="json", exclude={"recipes"}).items():
        if section in ("sources", "sets"):
            for name, table in value.items():
                yield f"{section}.{name}", PRESENT
                yield from _leaves(f"{section}.{name}", table)
                if section == "sources":
                    yield f"{section}.{name} (texts of prompt and system)", prompt_version(settings.sources[name])
        else:
            yield from _leaves(section, value)
    seen: dict[str, int] = {}
    for recipe in settings.recipes:
        label = recipe.folder("").removesuffix("-")
        seen[label] = seen.get(label, 0) + 1
        head = f"recipes[{label}]" if seen[label] == 1 else f"recipes[{label} #{seen[label]}]"
        yield head, PRESENT
        yield from _leaves(head, _values(recipe))


def _values(recipe: Recipe) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps({**recipe.values(), "sets": recipe.sets}))
    return values


def _leaves(head: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(f"{head}.{key}", part)
    else:
        yield head, None if value in ({}, []) else value


def _difference(key: str, one: Any, other: Any) -> SettingDifference:
    if f".{SECRET}" in key:
        one, other = (None if value is None else HIDDEN for value in (one, other))
    return SettingDifference(key, _without_password(one), _without_password(other))


def _without_password(value: Any) -> Any:
    """The value; if it is a URL, without the user name and the password."""
    if isinstance(value, list):
        return [_without_password(part) for part in value]
    if not isinstance(value, str) or "@" not in value or "://" not in value:
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return HIDDEN
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
