"""`faq.toml`: every mistake is one sentence that names the key, and what `init` writes can be read."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import (
    Activations,
    Assemble,
    Evaluate,
    JudgeSettings,
    Sampling,
    Seeds,
    Settings,
    Source,
    Target,
    load_settings,
    parse_settings,
)
from faq_tui.core.settings.recipe import model_of
from faq_tui.core.settings.sets import Match, SetPlan
from faq_tui.core.settings.source import Price
from faq_tui.core.settings.target import Preset
from faq_tui.core.settings.write import Choices, init_text
from tests.support.settings_keys import ELDER, UNTIMED, minimal, toml


def keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


SECTIONS: dict[str, type[BaseModel]] = {
    "": Settings,
    "target": Target,
    "seeds": Seeds,
    "sources.elder": Source,
    "sources.sampling": Source,  # a source may have the name of a key
    "sources.elder.sampling": Sampling,
    "judge": JudgeSettings,
    "assemble": Assemble,
    "activations": Activations,
    "recipes[1]": model_of("gptq"),
    "evaluate": Evaluate,
    "sources.elder.price": Price,
    "sets.mixed": SetPlan,
    "sets.mixed.match": Match,
    "preset": Preset,
}
TYPOS = st.tuples(
    st.sampled_from([(section, key) for section, model in SECTIONS.items() for key in keys_of(model)]),
    st.sampled_from(["drop", "double", "swap", "insert", "replace"]),
    st.integers(0, 30),
    st.sampled_from(string.ascii_lowercase),
    st.booleans(),
)


def place(raw: dict[str, Any], section: str) -> dict[str, Any]:
    """The table of a section, made where it is missing."""
    here: Any = raw
    for part in filter(None, section.replace("[1]", ".0").split(".")):
        here = here[0] if part == "0" else here.setdefault(part, {})
    table: dict[str, Any] = here
    return table


def mistyped(word: str, how: str, at: int, letter: str) -> str:
    at %= len(word)
    changed = {
        "drop": word[:at] + word[at + 1 :],
        "double": word[:at] + word[at] + word[at:],
        "swap": word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
        "insert": word[:at] + letter + word[at:],
        "replace": word[:at] + letter + word[at + 1 :],
    }
    return changed[how]


def edits(a: str, b: str) -> int:
    """Letters to insert, drop, replace or swap."""
    rows = [list(range(len(b) + 1))]
    for i in range(1, len(a) + 1):
        row = [i]
        for j in range(1, len(b) + 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def complaint(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_settings(text)
    message = str(caught.value)
    assert message.startswith("faq.toml") and "\n" not in message and "Traceback" not in message
    assert not any(char in message for char in map(chr, range(32)))
    return message


def with_sources(section: str) -> dict[str, Any]:
    raw = minimal()
    if section.startswith("sources."):
        raw["sources"][section.split(".")[1]] = dict(ELDER)
    return raw


@UNTIMED
@given(TYPOS)
def test_a_typo_is_named_with_the_nearest_right_key(typo: Any) -> None:
    (section, key), how, at, letter, replaces = typo
    wrong = mistyped(key, how, at, letter)
    known = set(keys_of(SECTIONS[section]))
    if wrong in known or not wrong:
        return
    raw = with_sources(section)
    table = place(raw, section)
    if replaces and key in table:
        table[wrong] = table.pop(key)  # then the right one is missing too
    else:
        table[wrong] = 1
    message = complaint(toml(raw))
    dotted = f"{section}.{wrong}" if section else wrong
    assert f"unknown key `{dotted}`" in message
    if "did you mean `" in message:
        guess = message.partition("did you mean `")[2].partition("`")[0]
        assert guess in known and edits(wrong, guess) <= edits(wrong, key) + 1
        if all(edits(wrong, other) > 2 for other in known - {key}):
            assert guess == key
    else:
        assert len(key) <= 4 and all(name in message for name in known)


@pytest.mark.parametrize("key", ["a b", 'qu"ote', "line\nbreak", "\x1b[2J", "ü", ""])
def test_a_strange_key_is_shown_on_one_line(key: str) -> None:
    assert "unknown key" in complaint(toml(minimal() | {key: 1}))


BOUNDS = [
    *[("seeds", "count", good, bad) for good, bad in [(1, 0), (10**9, -1), (5, 1.5), (5, "many")]],
    *[("seeds", "heldout", good, bad) for good, bad in [(0, -1)]],
    ("seeds", "shape", "text", "sharegpt"),
    ("seeds", "on_problem", "refuse", "ignore"),
    ("target", "device", "cuda", "gpu"),
    ("target", "dtype", "bfloat16", "int8"),
    *[("sources.elder", "candidates", good, bad) for good, bad in [(1, 0), (64, 65)]],
    *[("sources.elder", "concurrency", good, bad) for good, bad in [(1, 0), (4096, 4097)]],
    *[("sources.elder", "retries", good, bad) for good, bad in [(0, -1), (100, 101)]],
    *[("sources.elder", name, 0.001, 0) for name in ("connect_timeout_s", "idle_timeout_s")],
    ("sources.elder", "idle_timeout_s", 1, float("nan")),
    ("sources.elder", "reasoning", "off", "none"),
    ("sources.elder", "base_url", "https://x/v1", "elder:8000"),
    ("sources.elder", "base_url", "embedded", "embeded"),
    *[("sources.elder.sampling", "temperature", good, bad) for good, bad in [(0, -0.1), (2, 2.1), (1, float("nan"))]],
    *[
        ("sources.elder.sampling", name, good, bad)
        for name in ("top_p", "min_p")
        for good, bad in [(0, -1), (1, 1.1)]
    ],
    ("sources.elder.sampling", "top_k", -1, -2),
    ("sources.elder.sampling", "max_tokens", 1, 0),
    ("judge", "kind", "likelihood", "human"),
    *[("judge", name, 1, 0) for name in ("concurrency", "max_tokens", "reasoning_tokens", "max_model_len")],
    *[("judge", name, 0, -1) for name in ("retries", "probe")],
    ("judge", "mode", "pointwise", "pairwise"),
    ("assemble", "max_tokens", 16, 15),
    ("assemble", "overflow", "drop", "middle"),
    ("recipes[1]", "bits", 8, 3),
    ("recipes[1]", "method", "gptq", "magic"),
    *[("recipes[1]", "group_size", good, bad) for good, bad in [(-1, 0), (64, 100), (16, -2)]],
    *[("recipes[1]", "damp_percent", good, bad) for good, bad in [(0.001, 0), (0.999, 1)]],
    ("evaluate", "window", 8, 7),
    ("evaluate", "bootstrap", 100, 99),
    *[("evaluate", name, 1, 0) for name in ("prose_tokens", "answer_tokens", "batch_size")],
]


@pytest.mark.parametrize(("section", "key", "good", "bad"), BOUNDS)
def test_bounds(section: str, key: str, good: Any, bad: Any) -> None:
    raw = with_sources(section)
    place(raw, section)[key] = good
    parse_settings(toml(raw))
    place(raw, section)[key] = bad
    message = complaint(toml(raw))
    assert f"`{section}.{key}`: " in message
    if not isinstance(bad, float):
        assert repr(bad) in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "`target` is missing (and 1 more)"),
        ("[target]\n[seeds]\npath='s'", "`target.model` is missing"),
        ("[target\nmodel = 'x'", "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        (toml(minimal() | {"judge": {"kind": "llm"}}), 'kind "llm" needs the keys `base_url` and `model`'),
        (toml(minimal() | {"sources": {"baseline": ELDER}}), "sources.baseline: the name of a source must be"),
        (toml(minimal() | {"sources": {"a-tokens": ELDER}}), "sources.a-tokens: the name of a source must be"),
        (toml(minimal() | {"sources": {"../x": ELDER}}), "sources.../x: the name of a source must be"),
        (toml(minimal() | {"recipes": [{}, {"sets": ["elder"]}]}), "recipes[2].sets: there is no set 'elder'"),
        (toml(minimal() | {"recipes": [{}, {"sym": False}]}), "two recipes would both write models/gptq-w4g128"),
        (toml(minimal() | {"recipes": [{}, {"bits": 3}]}), "`recipes[2].bits`"),
    ],
)
def test_what_does_not_go_together(text: str, said: str) -> None:
    assert said in complaint(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.toml").open("wb") as file:
        file.truncate(11 << 20)
    with pytest.raises(UsageError, match=r"huge\.toml has 12 MB, so it is no settings file"):
        load_settings(tmp_path / "huge.toml")
    path = tmp_path / "faq.toml"
    with pytest.raises(UsageError, match="faq-tui init"):
        load_settings(path)
    path.write_bytes(b'[target]\nmodel = "\xff"')
    with pytest.raises(UsageError, match="not UTF-8 text"):
        load_settings(path)
    with pytest.raises(UsageError, match="cannot read"):
        load_settings(tmp_path)
    path.write_text("\ufeff" + toml(minimal()), encoding="utf-8")  # an editor's byte order mark
    assert load_settings(path).target.model == "m"


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"hidden_size": 576, "intermediate_size": 1536}, 64),
        ({"hidden_size": 4096, "intermediate_size": 12288}, 128),
        ({"hidden_size": 96}, 32),
        ({"hidden_size": 100}, 128),
        ([], 128),
        (5, 128),
    ],
)
def test_the_group_size_divides_the_widths(tmp_path: Path, config: Any, size: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert parse_settings(init_text(Choices(str(tmp_path), "starter"))).recipes[0].group_size == size


# ---- comments are made from the schema


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("9" * 5000, "holds a number with thousands of digits", id="decimal"),
        pytest.param("0x" + "f" * 5000, "`seeds.count` is a number with more than 64 bits", id="hexadecimal"),
        pytest.param("-9223372036854775809", "`seeds.count` is a number with more than 64 bits", id="too low"),
        pytest.param('"' + "a" * 5000 + '"', "`seeds.count`: .*, not 'aaa[^\n]{190,200}…$", id="text"),
        pytest.param("[" * 5000, "is nested too deeply", id="nested"),
    ],
)
def test_a_value_of_thousands_of_characters_is_one_short_sentence(text: str, words: str) -> None:
    message = complaint(f'[target]\nmodel = "x"\n[seeds]\npath = "x"\ncount = {text}\n')
    assert re.search(words, message) and len(message) < 400, message
