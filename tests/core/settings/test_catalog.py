"""The list of all keys: complete, and each typed text becomes the value that the schema reads."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from faq_tui.core.settings.catalog import SettingKey, groups_of, shown_value, text_of_value, value_of_text
from faq_tui.core.settings.load import check_values, parse_settings
from faq_tui.core.settings.schema import Settings
from faq_tui.core.settings.write import Choices, init_text

RAW = {
    "target": {"model": "m"},
    "seeds": {"path": "starter"},
    "sources": {"elder": {"base_url": "http://e/v1", "model": "big"}},
    "sets": {"short": {"from": "elder", "count": 8}},
    "recipes": [{"bits": 4}, {"bits": [4, 8], "group_size": 64}],
    "preset": {"name": "paper/table1", "model": "Qwen3-8B"},
}


def key(group: str, label: str) -> SettingKey:
    return next(k for g in groups_of(RAW) if g.title == group for k in g.keys if k.label == label)


def test_every_key_of_the_schema_is_there() -> None:
    settings, problems = check_values(RAW, Path())
    assert settings is not None and not problems
    listed = {k.path for group in groups_of(RAW) for k in group.keys}

    def walk(model: BaseModel, path: tuple[str | int, ...]) -> None:
        for name, field in type(model).model_fields.items():
            value, here = getattr(model, name), (*path, field.alias or name)
            if isinstance(value, BaseModel):
                walk(value, here)
            elif here[:1] == ("recipes",):
                continue
            elif isinstance(value, dict) and len(path) == 0:
                for one, inner in value.items():
                    walk(inner, (*here, one))
            elif value is not None or here[-1] != "price":
                assert here in listed, here

    walk(settings, ())
    assert ("sources", "elder", "price", "input") in listed
    assert ("recipes", 0, "group_size") in listed and ("recipes", 0, "token_weights", "answer") in listed


def test_what_cannot_be_edited_says_so() -> None:
    notes = {group.title: group.note for group in groups_of(RAW)}
    assert "stands for several recipes" in notes["recipes[2]"] and not notes["recipes[1] gptq"]
    bare = {group.title: group.note for group in groups_of({"target": {"model": "m"}})}
    assert "[sources.NAME]" in bare["sources"] and "[sets.NAME]" in bare["sets"] and bare["recipes"]


def test_kinds_defaults_and_choices() -> None:
    assert (key("target", "device").kind, key("target", "device").choices) == ("choice", ("auto", "cpu", "cuda"))
    assert key("judge", "kind").choices[:2] == ("llm", "likelihood")
    assert key("evaluate.evalscope", "enable_thinking").choices == (None, True, False)
    assert (key("seeds", "count").kind, key("seeds", "count").default) == ("number", "256")
    assert key("seeds", "path").required and not key("seeds", "count").required
    assert key("evaluate", "perplexity").default == "pydoc"
    assert key("recipes[1] gptq", "bits").help == "Bits per weight"
    assert all(k.help for group in groups_of(RAW) for k in group.keys)


@pytest.mark.parametrize(
    ("group", "label", "text", "value"),
    [
        ("seeds", "count", "8", 8),
        ("sources.elder", "sampling.top_p", "off", "off"),
        ("sources.elder", "sampling.top_p", " 0.5 ", 0.5),
        ("evaluate", "perplexity", "pydoc, a b.txt", ["pydoc", "a b.txt"]),
        ("evaluate", "perplexity", '["a,b.txt"]', ["a,b.txt"]),
        ("sources.elder", "base_url", '["http://a/v1", "http://b/v1"]', ["http://a/v1", "http://b/v1"]),
        ("judge", "pick_by", "{ llm = 1.0 }", {"llm": 1.0}),
        ("sets.short", "from", "elder", "elder"),
        ("sets.short", "from", "{ elder = 0.5, baseline = 0.5 }", {"elder": 0.5, "baseline": 0.5}),
    ],
)
def test_typed_text_becomes_a_value_and_back(group: str, label: str, text: str, value: object) -> None:
    k = key(group, label)
    assert value_of_text(k, text) == value
    assert value_of_text(k, text_of_value(k.kind, value)) == value


@pytest.mark.parametrize(
    ("group", "label", "text", "sentence"),
    [
        ("judge", "pick_by", "llm", "write a table in braces"),
        ("judge", "pick_by", "{ llm = }", "not valid TOML"),
        ("evaluate", "perplexity", '["a"', "not valid TOML"),
    ],
)
def test_text_that_cannot_be_read(group: str, label: str, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        value_of_text(key(group, label), text)


def test_the_shown_values_of_a_new_file_are_its_own() -> None:
    text = init_text(Choices("embedded", "starter"))
    raw = tomllib.loads(text)
    for group in groups_of(raw):
        for k in group.keys:
            shown = shown_value(k, raw)
            if isinstance(shown, str) and k.kind not in ("choice", "switch"):
                assert value_of_text(k, shown) == shown_raw(raw, k)


def shown_raw(raw: object, k: SettingKey) -> object:
    for part in k.path:
        raw = raw[part]  # type: ignore[index]
    return raw


def test_problems_are_those_of_the_loader() -> None:
    raw = {"target": {"model": "m"}, "seeds": {"path": "starter", "count": 0, "heldout": -1}}
    settings, problems = check_values(raw, Path())
    assert settings is None and [p.location for p in problems] == [("seeds", "count"), ("seeds", "heldout")]
    with pytest.raises(Exception) as refused:
        parse_settings('[target]\nmodel = "m"\n[seeds]\npath = "starter"\ncount = 0\nheldout = -1\n')
    assert str(refused.value) == f"faq.toml: {problems[0].sentence} (and 1 more)"
    assert "preset" in Settings.model_fields
