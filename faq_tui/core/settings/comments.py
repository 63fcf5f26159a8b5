"""Write the lines of a new `faq.toml` from the schema: each key with a value, and its description as a comment.

A key that is not set is written as a comment. If a key that is not set has a default value, its line shows this
value. For a key without a default value, the line shows an example, and the description states what happens without
the key.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import storable
from faq_tui.core.extensions import METHODS
from faq_tui.core.settings.recipe import DEFAULT_METHOD, model_of
from faq_tui.core.settings.schema import Settings
from faq_tui.core.settings.section import DescribedBy, Section

COLUMN = 33  # comments begin in this column unless the key and its value are too long
LONGEST = 116  # maximum length of a line in characters; a comment that does not fit is written above its key
DEFAULT_IS = "; default: "  # in a description, the text after this mark says what happens if the key is missing


def head_text(head: str, field: FieldInfo) -> str:
    """The line that begins a section.

    `head` is, for example, "[activations]", or "# [preset]" for a section that is commented out.
    """
    return with_comment(head, comment_of(field))


def keys_text(
    model: type[Section],
    values: Mapping[str, Any] | None = None,
    live: Collection[str] = (),
    without: Collection[str] = (),
) -> str:
    """The keys of a section, one per line.

    The keys in `values` and `live` are written first. All other keys follow as comments. `values` maps keys to their
    values. The keys in `live` are written with their defaults. The keys in `without` are omitted.
    """
    values = values or {}
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    lines = [
        with_comment(f"{key} = {toml_value(values[key] if key in values else _default(field))}", comment_of(field))
        for key, field in fields.items()
        if key in values or key in live
    ]
    lines += [
        with_comment(f"# {key} = {toml_value(_shown(field))}", comment_of(field))
        for key, field in fields.items()
        if not (key in values or key in live or key in without)
    ]
    return "".join(lines)


def comment_of(field: FieldInfo) -> str:
    """The description of a key. If the possible values are words, the result lists them."""
    described = next((one for one in field.metadata if isinstance(one, DescribedBy)), None)
    text = described.function() if described else field.description or ""
    words = " | ".join(word for word in choices(field.annotation) if isinstance(word, str))
    if not words:
        return text
    before, mark, after = text.partition(DEFAULT_IS)
    return f"{before}: {words}{mark}{after}"


def description(section: str, key: str) -> str:
    """The comment of a key, for example of the key "path" in the section "seeds"."""
    model: Any = Settings.model_fields[section].annotation
    return comment_of(model.model_fields[key])


def choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a Literal type, also inside an optional or tuple type.

    The result is empty for all other types.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return arguments
    if origin in (typing.Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        return choices(next(one for one in arguments if one is not type(None)))
    return choices(arguments[0]) if origin is tuple else ()


def with_comment(line: str, comment: str) -> str:
    """The line with its comment. If the comment does not fit, it is written above the line."""
    padded = f"{line:<{COLUMN - 1}} # {comment}" if len(line) < COLUMN else f"{line}  # {comment}"
    if not comment:
        return f"{line}\n"
    return f"{padded}\n" if len(padded) <= LONGEST else f"# {_as_sentence(comment)}:\n{line}\n"


def _as_sentence(comment: str) -> str:
    """Write the first letter as a capital, unless the comment begins with the name of a method, such as `gptq`."""
    first = comment.partition(" ")[0].rstrip(",:")
    return comment if first in METHODS.names() else f"{comment[:1].upper()}{comment[1:]}"


def toml_value(value: Any) -> str:
    """The value as TOML on one line. A section becomes an inline table. Raises UsageError if a text is not UTF-8."""
    if isinstance(value, BaseModel):
        return toml_value(value.model_dump(by_alias=True, exclude_none=True))
    if isinstance(value, Mapping):
        return (
            f"{{ {', '.join(f'{toml_key(key)} = {toml_value(item)}' for key, item in value.items())} }}"
            if value
            else "{}"
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def toml_key(name: str) -> str:
    """The name of a key as TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def quoted(text: str) -> str:
    """The text as a TOML basic string.

    All escapes of JSON are valid in TOML. In addition, TOML requires an escape for the character DEL.
    """
    if not text.isascii() and text != storable(text):
        raise UsageError(f"{text!r} is not UTF-8 text and cannot be written to faq.toml: rename it")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _shown(field: FieldInfo) -> Any:
    """The value that a commented-out key shows: the field's example if it has one, otherwise the field's default."""
    return field.examples[0] if field.examples else _default(field)


def recipe_text(
    group_size: str, method: str = DEFAULT_METHOD, bits: int | None = None, sets: Sequence[str] = ()
) -> str:
    """The recipe section.

    `group_size` is a value that fits the target, written as text. A comment may follow the value.

    If `bits` is None, the method's default is written. If `sets` is empty, the recipe uses every set of the run.
    """
    model = model_of(method)
    bits = model.model_fields["bits"].default if bits is None else bits
    every = "default: every set of the run"
    chosen = with_comment(f"sets = {toml_value(list(sets))}", every) if sets else ""
    return "".join(
        [
            head_text("[[recipes]]", Settings.model_fields["recipes"]),
            with_comment(f'method = "{method}"', " | ".join(METHODS.names())),
            with_comment(f"bits = {bits}", _bits()),
            f"group_size = {group_size}\n",
            with_comment('# preset = "paper"', f"default: none. {' | '.join(_presets())}"),
            chosen or with_comment('# sets = ["baseline", "elder"]', every),
            "# Keys that only some methods have. A key that is not set has the default of its method:\n",
            *_own_keys(),
        ]
    )


def _own_keys() -> list[str]:
    methods_of: dict[str, list[str]] = {}
    for name in METHODS.names():
        for key in model_of(name).own_keys():
            if len(model_of(name).choices(key)) != 1:
                methods_of.setdefault(key, []).append(name)
    lines = []
    for key, methods in methods_of.items():
        model = model_of(methods[0])
        value = toml_value(model.model_fields[key].default)
        lines.append(with_comment(f"# {key} = {value}", f"{', '.join(methods)}: {model.describe(key)}"))
    return lines


def _presets() -> list[str]:
    return list(dict.fromkeys(preset for name in METHODS.names() for preset in model_of(name).presets))


def _bits() -> str:
    """All bit widths. If only one method supports a width, the method's name is added in brackets."""
    methods_of: dict[int, list[str]] = {}
    for name in METHODS.names():
        for bits in model_of(name).choices("bits"):
            methods_of.setdefault(bits, []).append(name)
    only = {bits: f" ({methods[0]})" if len(methods) == 1 else "" for bits, methods in methods_of.items()}
    return " | ".join(f"{bits}{only[bits]}" for bits in sorted(methods_of))
