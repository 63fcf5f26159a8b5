"""What `init` writes can be read, names every section and key, and never overwrites."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import (
    Settings,
    parse_settings,
)
from faq_tui.core.settings.write import Choices, demo_text, init_text, write_settings
from tests.support.settings_keys import UNTIMED, sections


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
    halves: list[dict[str, Any]] = [
        {"elder_url": "http://h"},
        {"elder_model": "M"},
        {"judge_url": "http://h"},
        {"judge_model": "M"},
    ]
    for half in halves:
        with pytest.raises(UsageError, match="must be used together: give both or neither"):
            init_text(Choices("m", "s", **half))


# NUL is refused: test_load.py.
STRANGE = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
) | st.text("\"\\\n\r\t\x1b\x7f\u2028#'{}=", min_size=1, max_size=8)


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


def test_init_never_overwrites(tmp_path: Path) -> None:
    text = init_text(Choices("embedded", "starter"))
    path = write_settings(tmp_path / "new" / "run", text)
    assert path.read_text(encoding="utf-8") == text
    with pytest.raises(UsageError, match="exists already: edit it"):
        write_settings(path.parent, text)
    with pytest.raises(UsageError, match="a run is a folder"):
        write_settings(path, text)
    with pytest.raises(UsageError, match="the settings: unknown key"):
        write_settings(tmp_path / "other", text + "[nonsense]\n")
    assert not (tmp_path / "other").exists()


def commented(text: str) -> list[tuple[str, str, str, bool]]:
    """(section, key, value, whether it is an example) of each key that stands in a comment."""
    section, before, found = "", "", []
    for line in text.splitlines():
        if head := re.match(r"(?:# )?\[\[?([\w.]+)\]\]?", line):
            section = head[1]
        elif key := re.match(r"# (\w+) = (.*)", line):
            value = key[2].split(" #")[0].strip()
            found.append((section, key[1], value, "default: " in f"{before} {key[2]}"))
        before = "" if " = " in line else line  # a long comment stands above its key
    return found


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
    ("sets.mixed", "prose_file"): "[sets.mixed]\nfrom = { baseline = 0.8, prose = 0.2 }",
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
