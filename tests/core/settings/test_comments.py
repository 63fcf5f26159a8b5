"""Comments of `faq.toml` are made from the schema: every key has a description with its choices."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from faq_tui.core.extensions import METHODS
from faq_tui.core.settings import (
    Settings,
)
from faq_tui.core.settings.comments import choices, comment_of, toml_value, with_comment
from faq_tui.core.settings.recipe import Recipe, model_of
from faq_tui.core.settings.section import Section
from faq_tui.core.settings.source import Price
from faq_tui.core.settings.target import Preset
from tests.support.settings_keys import sections


def schema_sections(model: type[BaseModel] = Settings) -> Iterator[type[BaseModel]]:
    """Every section of the file, each once. A recipe's keys depend on its method, which describes them."""
    seen: list[type[BaseModel]] = []
    waiting: list[Any] = [model]
    while waiting:
        here = waiting.pop()
        if isinstance(here, type) and issubclass(here, Recipe):
            continue
        if isinstance(here, type) and issubclass(here, BaseModel):
            if here not in seen:
                seen.append(here)
                waiting += [field.annotation for field in here.model_fields.values()]
        else:
            waiting += typing.get_args(here)
    yield from seen


FIELDS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}")
    for model in schema_sections()
    for name in model.model_fields
]


def test_the_walk_reaches_every_section() -> None:
    names = {model.__name__ for model in schema_sections()}
    assert set(sections()) - {"recipes"} and {"Settings", "Price", "Sampling", "Match", "Serve", "Preset"} <= names
    assert {kind.__name__ for name, kind in sections().items() if name != "recipes"} <= names


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_every_key_has_a_description_with_its_choices(model: type[BaseModel], name: str) -> None:
    field = model.model_fields[name]
    comment = comment_of(field)
    assert len(comment) > 10 and "\n" not in comment and not comment.endswith((".", ":", ",", ";", " "))
    assert not comment[0].isupper() or comment.startswith(("URL", "Python")), (
        "it follows a key, and goes on in a sentence"
    )
    assert all(str(choice) in comment for choice in choices(field.annotation) if isinstance(choice, str))
    may_be_absent = not field.is_required() and (field.default is None or bool(field.examples))
    assert may_be_absent == ("default: " in comment), "what leaving it out means"
    if field.default is None:
        assert field.examples or issubclass(Preset, model) or name == "preset", "a value that can be shown"


def test_every_key_of_every_method_has_a_description() -> None:
    for method in METHODS.names():
        model = model_of(method)
        assert all(len(model.describe(key)) > 10 for key in model.model_fields), method


def test_a_key_without_a_description_would_be_found() -> None:
    class Bare(Section):
        key: int = 1

    assert comment_of(Bare.model_fields["key"]) == ""
    assert with_comment("key = 1", "") == "key = 1\n"


def test_values_as_toml() -> None:
    for value in ('a"\\\n\x7fü', 1, 1.5, True, ["a", 2], {"a": {"b": [1.0]}}, {}, []):
        assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value
    assert toml_value(Price(input=0.5)) == "{ input = 0.5, output = 0.0 }"
