"""Write the generated pages of docs/: `python docs/generate.py` writes docs/settings.md and docs/keys.md.

The settings come from the schema in `faq_tui.core.settings`, the keys from the app's registry of actions. A test
checks that the committed pages equal the output of this program. Run the program without packages that extend
faq-tui, because it would also list their methods and judges.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from faq_tui.core.extensions import METHODS
from faq_tui.core.settings.comments import DEFAULT_IS, toml_value
from faq_tui.core.settings.recipe import COMMON, Recipe, model_of
from faq_tui.core.settings.schema import Settings
from faq_tui.core.settings.section import DescribedBy
from faq_tui.core.settings.source import Sampling
from faq_tui.core.settings.weights import KindWeights
from faq_tui.tui.registry import key_table

DOCS = Path(__file__).parent
WRITTEN_BY = "<!-- Written by `python docs/generate.py`: edit the source, not this page. -->\n"
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
KINDS: dict[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text"}
ALSO = {"from": "text or ", "answers": "text or "}  # values that a key accepts in addition to its type
HEADINGS = {"sources": "[sources.NAME]", "sets": "[sets.NAME]", "recipes": "[[recipes]]"}

SETTINGS_HEAD = """# Settings of faq.toml

`faq-tui init` writes `RUN/faq.toml` with every key below. Keys with their default values are comments in this file.
Only `[target]` and `[seeds]` are required. For an unknown key, the error suggests the most similar valid key.
Relative paths are relative to the run's folder. [The guide](guide/index.md) explains the purpose of each section.

The column "values" lists the values that a key accepts. The column "default" gives the value that applies if
you do not set the key.
"""

KEYS_HEAD = """# Keys of the app

`?` in the app shows the keys of the current pane, and `ctrl+p` finds an action by its name.
[The guide](guide/app.md#your-own-keys-and-theme) explains how to change a key.
"""


def settings_page() -> str:
    """docs/settings.md: a table for each section, in the order of the schema."""
    parts = [WRITTEN_BY, SETTINGS_HEAD]
    for name, field in Settings.model_fields.items():
        heading = HEADINGS.get(name, f"[{name}]")
        if name == "recipes":
            parts.append(_recipes(field))
        else:
            parts.append(_section(heading, field, _model(field.annotation)))
    return "\n".join(parts)


def keys_page() -> str:
    """docs/keys.md: a table for each pane."""
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in key_table().splitlines()[2:]]
    parts = [WRITTEN_BY, KEYS_HEAD]
    for where, of_pane in groupby(rows, key=lambda row: row[0]):
        parts.append(f"## {where[0].upper()}{where[1:]}\n\n{_table(('key', 'does'), (row[1:] for row in of_pane))}")
    return "\n".join(parts)


def _section(heading: str, field: FieldInfo, model: type[BaseModel]) -> str:
    plain = {name: one for name, one in model.model_fields.items() if not _is_subsection(heading, one)}
    parts = [f"## {heading}\n\n{_sentence((field.description or '').partition(DEFAULT_IS)[0])}\n"]
    parts.append(_table(("key", "values", "default", "meaning"), (_row(*one) for one in plain.items())))
    for name, one in plain.items():
        inner = _model(one.annotation)
        if inner is not None and inner is not model and not (inner is Sampling and heading != "[sources.NAME]"):
            rows = (_row(*each) for each in inner.model_fields.items())
            parts.append(f"The keys of `{name}`:\n\n{_table(('key', 'values', 'default', 'meaning'), rows)}")
    for name, one in model.model_fields.items():
        if _is_subsection(heading, one):
            parts.append(_section(f"{heading[:-1]}.{name}]", one, _model(one.annotation)))
    return "\n".join(parts)


def _recipes(field: FieldInfo) -> str:
    first = field.get_default(call_default_factory=True)[0].method
    rows = []
    for name in COMMON:
        one = Recipe.model_fields[name]
        meaning, _, left_out = (one.description or "").partition(DEFAULT_IS)
        default = left_out or ("none" if name == "preset" else "see the method")
        values = _values(one.annotation, one.metadata)
        if name == "method":
            values, default = _words(METHODS.builtin), f"`{toml_value(first)}`"
        rows.append([f"`{name}`", values, default, _sentence(meaning)])
    parts = [
        f"## [[recipes]]\n\n{_sentence(field.description or '')} `method`, `bits`, `group_size` and `preset` may be "
        "lists: every combination is a recipe.\n",
        _table(("key", "values", "default", "meaning"), rows),
    ]
    for method in METHODS.builtin:
        model = model_of(method)
        own = ["bits", "group_size", *model.own_keys()]
        rows = [_row(key, model.model_fields[key], model.describe(key), len(model.choices(key)) == 1) for key in own]
        presets = f"Presets: {_words(model.presets)}." if model.presets else "It has no presets."
        parts.append(f"### {method}\n\n{METHODS.get(method).help} {presets}\n")
        parts.append(_table(("key", "values", "default", "meaning"), rows))
    inner = (_row(*one) for one in KindWeights.model_fields.items())
    parts.append(f"The keys of `token_weights`:\n\n{_table(('key', 'values', 'default', 'meaning'), inner)}")
    return "\n".join(parts)


def _row(name: str, field: FieldInfo, description: str | None = None, fixed: bool = False) -> list[str]:
    meaning, _, left_out = (description or field.description or "").partition(DEFAULT_IS)
    default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True), left_out)
    values = "only this" if fixed else _values(field.annotation, field.metadata)
    for described in (one for one in field.metadata if isinstance(one, DescribedBy)):
        if field.annotation is bool:
            meaning = described.function()
        else:
            values = described.function()
    return [f"`{field.alias or name}`", ALSO.get(field.alias or name, "") + values, default, _sentence(meaning)]


def _default(value: Any, left_out: str) -> str:
    if value is None or left_out:
        return left_out or "none"
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{toml_value(value)}`"


def _values(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """What a key accepts, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    limits = [
        f"{sign} {limit:g}"
        for one in metadata
        for part in (one.metadata if isinstance(one, FieldInfo) else (one,))
        for name, sign in LIMITS.items()
        if (limit := getattr(part, name, None)) is not None
    ]
    if origin is typing.Annotated:
        return _values(arguments[0], (*arguments[1:], *metadata))
    if origin is Literal:
        return _words(sorted(arguments) if all(isinstance(one, int) for one in arguments) else arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_values(one, metadata) for one in arguments if one is not type(None))
    if origin is tuple:
        return f"list of {_values(arguments[0])}"
    if origin is dict:
        if arguments[1] is Any:
            return "table"
        return f"table of {_values(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return " ".join([KINDS[annotation], ", ".join(limits)]).strip()


def _words(values: Iterable[Any]) -> str:
    return ", ".join(f"`{toml_value(value)}`" for value in values)


def _model(annotation: Any) -> Any:
    """The section inside an annotation such as `dict[str, Source]` or `Preset | None`; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in typing.get_args(annotation) if (found := _model(one)) is not None), None)


def _is_subsection(heading: str, field: FieldInfo) -> bool:
    return heading == "[evaluate]" and _model(field.annotation) is not None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([cell.replace(" | ", ", ") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


PAGES = {"settings.md": settings_page, "keys.md": keys_page}

if __name__ == "__main__":
    for page, content in PAGES.items():
        (DOCS / page).write_text(content(), encoding="utf-8")
