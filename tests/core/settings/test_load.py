"""`faq.toml`: every mistake is one sentence that names the key, and what `init` writes can be read."""

from __future__ import annotations

import itertools
import json
import re
import string
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel

from faq_tui.core.base.errors import UsageError
from faq_tui.core.extensions import METHODS
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
from faq_tui.core.settings.comments import choices, comment_of, toml_value, with_comment
from faq_tui.core.settings.recipe import Recipe, build_recipe, model_of
from faq_tui.core.settings.section import Section
from faq_tui.core.settings.sets import Match, SetPlan
from faq_tui.core.settings.source import Price
from faq_tui.core.settings.target import Preset
from faq_tui.core.settings.write import Choices, demo_text, init_text, write_settings


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
UNTIMED = hypothesis_settings(deadline=None)  # the first settings that are read load judges and methods
ELDER = {"base_url": "http://elder:8000/v1", "model": "Big"}
TYPOS = st.tuples(
    st.sampled_from([(section, key) for section, model in SECTIONS.items() for key in keys_of(model)]),
    st.sampled_from(["drop", "double", "swap", "insert", "replace"]),
    st.integers(0, 30),
    st.sampled_from(string.ascii_lowercase),
    st.booleans(),
)


def minimal() -> dict[str, Any]:
    return {"target": {"model": "m"}, "seeds": {"path": "s.jsonl"}, "sources": {}, "recipes": [{}]}


def place(raw: dict[str, Any], section: str) -> dict[str, Any]:
    """The table of a section, made where it is missing."""
    here: Any = raw
    for part in filter(None, section.replace("[1]", ".0").split(".")):
        here = here[0] if part == "0" else here.setdefault(part, {})
    table: dict[str, Any] = here
    return table


def toml(raw: dict[str, Any]) -> str:
    """The tables as TOML's inline values, which JSON's are but for `:`."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {value(v)}" for k, v in item.items()) + "}"
        if isinstance(item, list):
            return "[" + ", ".join(map(value, item)) + "]"
        return json.dumps(item).replace("Infinity", "inf").replace("NaN", "nan")

    return "\n".join(f"{json.dumps(key)} = {value(item)}" for key, item in raw.items())


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
        (toml(minimal() | {"judge": {"kind": "llm"}}), 'kind "llm" needs base_url and model'),
        (toml(minimal() | {"sources": {"baseline": ELDER}}), "sources.baseline: the name of a source"),
        (toml(minimal() | {"sources": {"a-tokens": ELDER}}), "sources.a-tokens: the name of a source"),
        (toml(minimal() | {"sources": {"../x": ELDER}}), "sources.../x: the name of a source"),
        (toml(minimal() | {"recipes": [{}, {"sets": ["elder"]}]}), "recipes[2].sets: no set 'elder'"),
        (toml(minimal() | {"recipes": [{}, {"sym": False}]}), "two recipes would both write models/gptq-w4g128"),
        (toml(minimal() | {"recipes": [{}, {"bits": 3}]}), "`recipes[2].bits`"),
    ],
)
def test_what_does_not_go_together(text: str, said: str) -> None:
    assert said in complaint(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
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


def test_every_combination_of_choices_parses() -> None:
    urls = [None, ("http://h:1/v1", "M")]
    for target, elder, judge in itertools.product(["embedded", "Qwen/Qwen3-8B"], urls, urls):
        choices = Choices(target, "starter", *(elder or (None, None)), *(judge or (None, None)))
        settings = parse_settings(init_text(choices))
        assert settings.target.model == target
        assert list(settings.sources) == (["elder"] if elder else ["self"] if target == "embedded" else [])
        assert settings.judge.kind == ("llm" if judge else "likelihood")
    parse_settings(demo_text())


def test_half_a_choice_is_refused() -> None:
    for half in ({"elder_url": "http://h"}, {"elder_model": "M"}, {"judge_url": "http://h"}, {"judge_model": "M"}):
        with pytest.raises(UsageError, match="belong together"):
            init_text(Choices("m", "s", **half))


STRANGE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.text(
    "\"\\\n\r\t\x00\x1b\x7f\u2028#'{}=", min_size=1, max_size=8
)


@UNTIMED
@given(STRANGE, STRANGE, STRANGE, STRANGE)
def test_strange_strings_come_back_from_the_file(target: str, seeds: str, elder: str, judge: str) -> None:
    text = init_text(Choices(target, seeds, "http://h/v1", elder, "https://j/v1", judge))
    assert tomllib.loads(text)
    settings = parse_settings(text)
    assert (settings.target.model, settings.seeds.path) == (target, seeds)
    assert (settings.sources["elder"].model, settings.judge.model) == (elder, judge)


def test_a_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        init_text(Choices("m", "caf\udce9.jsonl"))


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


def test_init_never_overwrites(tmp_path: Path) -> None:
    text = init_text(Choices("embedded", "starter"))
    path = write_settings(tmp_path / "new" / "run", text)
    assert path.read_text(encoding="utf-8") == text
    with pytest.raises(UsageError, match="exists already"):
        write_settings(path.parent, text)
    with pytest.raises(UsageError, match="but a run is a folder"):
        write_settings(path, text)
    with pytest.raises(UsageError, match="the settings: unknown key"):
        write_settings(tmp_path / "other", text + "[nonsense]\n")
    assert not (tmp_path / "other").exists()


def test_every_set_has_a_twin_at_equal_tokens() -> None:
    settings = parse_settings(toml(minimal() | {"sources": {"elder": ELDER, "own": ELDER}}))
    assert settings.set_names() == ("baseline", "elder", "own", "baseline-tokens", "elder-tokens", "own-tokens")
    assert parse_settings(toml(minimal())).set_names() == ("baseline",)
    assert build_recipe({"group_size": -1}).folder("elder") == "gptq-w4gc-elder"


def commented(text: str) -> list[tuple[str, str, str, bool]]:
    """(section, key, value, whether it is an example) of each key that stands in a comment."""
    section, found = "", []
    for line in text.splitlines():
        if head := re.match(r"(?:# )?\[\[?([\w.]+)\]\]?", line):
            section = head[1]
        elif key := re.match(r"# (\w+) = (.*)", line):
            value, _, said = key[2].partition("  #")
            found.append((section, key[1], value.split(" #")[0].strip(), "left out" in said or "left out" in key[2]))
    return found


def sections() -> dict[str, Any]:
    from faq_tui.core.settings import evaluate as b
    from faq_tui.core.settings.evaluate import Evaluate
    from faq_tui.core.settings.judge import JudgeSettings
    from faq_tui.core.settings.recipe import Quantize
    from faq_tui.core.settings.schema import Activations
    from faq_tui.core.settings.sets import Assemble, SetPlan
    from faq_tui.core.settings.source import Source
    from faq_tui.core.settings.target import Preset, Seeds, Target

    every_recipe = {key: field for name in METHODS.names() for key, field in model_of(name).model_fields.items()}
    return {
        **{"target": Target, "seeds": Seeds, "sources.elder": Source, "judge": JudgeSettings, "assemble": Assemble},
        **{"sets.mixed": SetPlan, "activations": Activations, "recipes": SimpleNamespace(model_fields=every_recipe)},
        **{"quantize": Quantize, "evaluate": Evaluate},
        **{"evaluate.lm_eval": b.LmEval, "evaluate.evalscope": b.Evalscope, "evaluate.serve": b.Serve},
        "preset": Preset,
    }


INITS = {
    "bare": Choices("org/model", "seeds.jsonl"),
    "served": Choices("org/model", "seeds.jsonl", "http://e/v1", "Elder", "http://j/v1", "Judge"),
}


@pytest.mark.parametrize("choices", INITS.values(), ids=INITS)
def test_init_names_every_section_and_key(choices: Choices) -> None:
    text = init_text(choices)
    assert max(map(len, text.splitlines())) <= 120
    part, there = "", set()
    for line in text.splitlines():
        if head := re.match(r"(?:# )?\[\[?([\w.]+)\]\]?", line):
            part = head[1]
        elif key := re.match(r"(?:# )?(\w+) = ", line):
            there.add((part, key[1]))
    wanted = {
        (name, field.alias or key)
        for name, kind in sections().items()
        for key, field in kind.model_fields.items()
        if not (name == "evaluate" and key in ("lm_eval", "evalscope", "serve"))
    }
    assert there == wanted


def test_what_init_comments_out_is_the_default_or_an_example_that_can_be_read() -> None:
    usual = sections()
    for section, key, value, example in commented(init_text(INITS["served"])):
        written = tomllib.loads(f"value = {value}")["value"]
        if section == "preset":
            continue
        field = next(f for name, f in usual[section].model_fields.items() if (f.alias or name) == key)
        if example:
            assert field.default is None or section in ("recipes", "sets.mixed"), f"{section}.{key}"
            continue
        default = field.get_default(call_default_factory=True)
        default = default.model_dump() if isinstance(default, BaseModel) else default
        default = list(default) if isinstance(default, tuple) else default
        if section != "recipes":
            assert written == default, f"{section}.{key}"


# ---- comments are made from the schema


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
    assert not comment[0].isupper() or comment.startswith("URL"), "it follows a key, and goes on in a sentence"
    assert all(str(choice) in comment for choice in choices(field.annotation) if isinstance(choice, str))
    may_be_absent = not field.is_required() and (field.default is None or bool(field.examples))
    assert may_be_absent == ("left out: " in comment), "what leaving it out means"
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


def uncommented(text: str, only: tuple[str, str] | None = None) -> str:
    """The file with its keys and sections taken out of their comments: all of them, or one key with its section."""
    lines, section = [], ""
    for line in text.splitlines():
        if head := re.match(r"# (\[\[?([\w.]+)\]\]?.*)", line):
            section = head[2]
            if only is None or only[0] == section:
                lines.append(head[1])
                continue
        elif head := re.match(r"\[\[?([\w.]+)\]\]?", line):
            section = head[1]
        elif (key := re.match(r"# ((\w+) = .*)", line)) and only in (None, (section, key[2])):
            lines.append(key[1])
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("choices", INITS.values(), ids=INITS)
def test_the_file_is_toml_with_every_comment_taken_out_and_with_none(choices: Choices) -> None:
    text = init_text(choices)
    whole = tomllib.loads(uncommented(text))
    assert set(whole) == set(Settings.model_fields)
    bare = "\n".join(line.split("  #")[0] for line in text.splitlines() if not line.startswith("#"))
    assert parse_settings(bare) == parse_settings(text)


NEEDS = {  # keys that are refused alone: what must be there beside them
    ("evaluate.lm_eval", "base_url"): '[evaluate.lm_eval]\nmode = "endpoint"',
    ("preset", "name"): '[preset]\nmodel = "Qwen3-8B"',
    ("preset", "model"): '[preset]\nname = "paper/table1"',
}


def test_every_commented_key_can_be_set_as_it_stands() -> None:
    text = init_text(INITS["served"])
    keys = [(section, key) for section, key, *_ in commented(text) if section != "recipes"]
    assert len(keys) > 80
    for section, key in keys:
        edited = uncommented(text, (section, key))
        head, _, line = NEEDS.get((section, key), "").partition("\n")
        if head:
            edited = re.sub(rf"^{re.escape(head)}.*$", rf"{head}\n{line}", edited, count=1, flags=re.MULTILINE)
        parse_settings(edited)
        assert edited != text


def test_values_as_toml() -> None:
    for value in ('a"\\\n\x7fü', 1, 1.5, True, ["a", 2], {"a": {"b": [1.0]}}, {}, []):
        assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value
    assert toml_value(Price(input=0.5)) == "{ input = 0.5, output = 0.0 }"
