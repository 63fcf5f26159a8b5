"""All keys of `faq.toml` with their help, default and form, for programs that let a person edit the settings."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from faq_tui.core.extensions import JUDGES, METHODS
from faq_tui.core.settings.change import Change, KeyPath, value_at
from faq_tui.core.settings.comments import DEFAULT_IS, choices, comment_of, toml_value
from faq_tui.core.settings.evaluate import Evaluate
from faq_tui.core.settings.load import dotted
from faq_tui.core.settings.recipe import DEFAULT_METHOD, GRID, Recipe, model_of
from faq_tui.core.settings.schema import Settings
from faq_tui.core.settings.section import DescribedBy, Section
from faq_tui.core.settings.sets import SetPlan
from faq_tui.core.settings.source import Source

Kind = Literal["switch", "choice", "number", "text", "list", "table"]
NO_SOURCES = "The run has no source. Press E, and write a section [sources.NAME] into faq.toml."
NO_SETS = (
    "The run has only its default sets. For further sets, press E, and write a section [sets.NAME] into faq.toml."
)
NO_RECIPES = "The file has no recipe, so the default recipe is used. Pane 5 adds recipes with the key n."
GRID_RECIPE = "This table has lists of values, so it stands for several recipes. Press E to change the lists."


@dataclass(frozen=True)
class SettingKey:
    """One key of a section. `default` is the default as a person types it; "" if the key has no default value."""

    table: KeyPath
    inner: tuple[str, ...]
    kind: Kind
    help: str
    default: str = ""
    required: bool = False
    choices: tuple[Any, ...] = ()  # the values of a "choice"; None means that the key is not set

    @property
    def path(self) -> KeyPath:
        return (*self.table, *self.inner)

    @property
    def label(self) -> str:
        """The name of the key within its section, such as `sampling.top_p`."""
        return ".".join(self.inner)

    def change_to(self, value: Any) -> Change:
        return Change(self.table, self.inner, value)


@dataclass(frozen=True)
class SettingGroup:
    """The keys of one section. `note` is a sentence about a section whose keys cannot all be edited here."""

    title: str  # such as `sources.elder`
    help: str
    keys: tuple[SettingKey, ...] = ()
    note: str = ""


def groups_of(raw: Mapping[str, Any]) -> list[SettingGroup]:
    """The sections of the file with the values `raw`, in the order of the schema."""
    groups: list[SettingGroup] = []
    for name, field in Settings.model_fields.items():
        help_text = comment_of(field)
        if name == "sources":
            groups += _named(raw, name, Source, help_text, NO_SOURCES)
        elif name == "sets":
            groups += _named(raw, name, SetPlan, help_text, NO_SETS)
        elif name == "recipes":
            groups += _recipes(raw, help_text)
        else:
            groups.append(SettingGroup(name, help_text, tuple(_keys((name,), _section_of(field)))))
            if name == "evaluate":
                groups += [
                    SettingGroup(f"{name}.{key}", comment_of(inner), tuple(_keys((name, key), _section_of(inner))))
                    for key, inner in Evaluate.model_fields.items()
                    if _is_section(inner)
                ]
    return groups


def _named(raw: Mapping[str, Any], name: str, model: type[Section], help_text: str, note: str) -> list[SettingGroup]:
    tables = raw.get(name)
    if not isinstance(tables, dict) or not tables:
        return [SettingGroup(name, help_text, note=note)]
    return [SettingGroup(dotted((name, one)), help_text, tuple(_keys((name, one), model))) for one in tables]


def _recipes(raw: Mapping[str, Any], help_text: str) -> list[SettingGroup]:
    tables = raw.get("recipes")
    if not isinstance(tables, list) or not tables:
        return [SettingGroup("recipes", help_text, note=NO_RECIPES)]
    groups = []
    for index, table in enumerate(tables):
        title = dotted(("recipes", index))
        method = table.get("method", DEFAULT_METHOD) if isinstance(table, dict) else None
        if not isinstance(method, str) or method not in METHODS or any(isinstance(table.get(k), list) for k in GRID):
            groups.append(SettingGroup(title, help_text, note=GRID_RECIPE))
            continue
        model = model_of(method)
        keys = [
            replace(key, kind="choice", choices=(None, *model.presets)) if key.label == "preset" else key
            for key in _keys(("recipes", index), model)
            if key.label != "method"
        ]
        groups.append(SettingGroup(f"{title} {method}", help_text, tuple(keys)))
    return groups


def _keys(table: KeyPath, model: type[Section]) -> Iterator[SettingKey]:
    for name, field in model.model_fields.items():
        inner = field.alias or name
        if not _is_section(field):
            yield _key(table, (inner,), field)
        elif table != ("evaluate",):  # the sections in [evaluate] are groups
            for key in _keys((*table, inner), _section_of(field)):
                yield SettingKey(table, (inner, *key.inner), key.kind, key.help, key.default, False, key.choices)


def _key(table: KeyPath, inner: tuple[str, ...], field: FieldInfo) -> SettingKey:
    default = field.get_default(call_default_factory=True)
    required = default is PydanticUndefined
    kind, values = _kind(table, inner, field)
    shown = "" if required or default is None else text_of_value(kind, _plain(default))
    help_text = _help(table, inner, field)
    return SettingKey(table, inner, kind, help_text, shown, required, values)


def _help(table: KeyPath, inner: tuple[str, ...], field: FieldInfo) -> str:
    """The description of the key, and an example if the key has no default value."""
    described = next((one for one in field.metadata if isinstance(one, DescribedBy)), None)
    if described is not None:
        return described.function()
    common = Recipe.model_fields.get(inner[0]) if table[0] == "recipes" else None
    text = field.description or (common.description if common is not None else None) or ""
    if field.examples and DEFAULT_IS in text:
        text += f"; example: {text_of_value('text', _plain(field.examples[0]))}"
    return text if text.startswith("faq-tui") else f"{text[:1].upper()}{text[1:]}"


def _kind(table: KeyPath, inner: tuple[str, ...], field: FieldInfo) -> tuple[Kind, tuple[Any, ...]]:
    """The kind of form field for the key, and the possible values if the kind is "choice"."""
    members = list(_members(field.annotation))
    optional = type(None) in members
    none: tuple[Any, ...] = (None,) if optional else ()
    if (*table, *inner) == ("judge", "kind"):
        return "choice", tuple(JUDGES.names())
    if (words := choices(field.annotation)) and typing.get_origin(field.annotation) is not tuple:
        return "choice", (*none, *words)
    if bool in members:
        return ("choice", (None, True, False)) if optional else ("switch", ())
    origins = [typing.get_origin(one) for one in members]
    if tuple in origins:
        return "list", ()
    if dict in origins:
        return "table", ()
    if any(isinstance(one, type) and issubclass(one, Section) for one in members):
        return "table", ()
    return ("number" if int in members or float in members else "text"), ()


def _members(annotation: Any) -> Iterator[Any]:
    """The types that a value may have."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif origin is typing.Union or str(origin) == "<class 'types.UnionType'>":
        for one in typing.get_args(annotation):
            yield from _members(one)
    else:
        yield annotation


def _is_section(field: FieldInfo) -> bool:
    return any(isinstance(one, type) and issubclass(one, Section) for one in _members(field.annotation))


def _section_of(field: FieldInfo) -> type[Section]:
    return next(one for one in _members(field.annotation) if isinstance(one, type) and issubclass(one, Section))


def _plain(value: Any) -> Any:
    return value.model_dump(by_alias=True, exclude_none=True) if isinstance(value, Section) else value


# Functions that convert values to the text that a person types, and back.


def shown_value(key: SettingKey, raw: Mapping[str, Any]) -> Any:
    """The value of the key in the file, as a form shows it; None if the file does not set the key."""
    value = value_at(raw, key.path)
    if value is None or key.kind in ("switch", "choice"):
        return value
    return text_of_value(key.kind, value)


def text_of_value(kind: Kind, value: Any) -> str:
    """The value as a person types it. A list without special characters is written without brackets."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        simple = all(isinstance(one, str) and _is_simple(one) for one in value) and value
        return ", ".join(value) if kind == "list" and simple else toml_value(value)
    return toml_value(value)


def _is_simple(text: str) -> bool:
    return bool(text.strip() == text and text) and "," not in text and text[0] not in "[{\"'"


def value_of_text(key: SettingKey, text: str) -> Any:
    """The value that the person typed. Raises ValueError with a sentence if the text cannot be read."""
    text = text.strip()
    if text.startswith(("[", "{")) and (key.kind in ("list", "table") or key.label == "base_url"):
        return _toml(text)
    if key.kind == "list":
        return [part for part in (one.strip() for one in text.split(",")) if part]
    if key.kind == "table" and key.label != "from":
        raise ValueError("write a table in braces, such as { name = 1 }")
    if key.kind == "number":
        return _number(text)
    return text


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        form = '["one", "two"]' if text.startswith("[") else '{ name = "value" }'
        raise ValueError(f"this is not valid TOML; write it as in {form}") from None


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text  # a word such as "off"; the check of the settings reports wrong words
