"""Settings that differ: every key once, with both values, and no secret."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from faq_tui.core.run_comparison import SettingDifference, setting_differences
from faq_tui.core.run_comparison.settings import HIDDEN
from faq_tui.core.settings.load import parse_settings
from faq_tui.core.settings.schema import Settings

BASE = """
[target]
model = "./target"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://elder:8000/v1"
model = "Big-8B"
"""


def settings(text: str = "", base: str = BASE) -> Settings:
    return parse_settings(base + text)


def found(one: str, other: str) -> dict[str, tuple[Any, Any]]:
    return {d.key: (d.one, d.other) for d in setting_differences(settings(one), settings(other))}


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ("candidates = 3\n", "candidates = 5\n", {"sources.elder.candidates": (3, 5)}),
        ("", "[evaluate]\nrepeats = 3\n", {"evaluate.repeats": (1, 3)}),
        ("", "sampling = { temperature = 0.1 }\n", {"sources.elder.sampling.temperature": (0.6, 0.1)}),
        ("[[recipes]]\nbits = 4\n", "[[recipes]]\nbits = 4\ngroup_size = 64\n", None),
        (
            "[[recipes]]\ngroup_size = 64\n",
            '[[recipes]]\ngroup_size = 64\nsets = ["baseline"]\n',
            {"recipes[gptq-w4g64].sets": (None, ["baseline"])},
        ),
        ("[[recipes]]\ngroup_size = 64\nbits = [4, 8]\n", "[[recipes]]\ngroup_size = 64\nbits = [8, 4]\n", {}),
    ],
)
def test_keys_and_values(one: str, other: str, difference: dict[str, tuple[Any, Any]] | None) -> None:
    assert found(one, one) == {}
    if difference is None:  # artefacts of other names are other recipes
        difference = {"recipes[gptq-w4g128]": ("present", None), "recipes[gptq-w4g64]": (None, "present")}
    assert found(one, other) == difference


def test_a_table_of_only_one_run_is_one_line() -> None:
    teacher = '[sources.teacher]\nbase_url = "http://teacher:8000/v1"\nmodel = "Teacher-9B"\n'
    assert found("", teacher) == {"sources.teacher": (None, "present")}
    assert found(teacher, "") == {"sources.teacher": ("present", None)}


def test_no_secret_is_shown() -> None:
    one = 'extra_headers = { X-Key = "abc123" }\n'
    other = 'extra_headers = { X-Key = "def456" }\n'
    assert found(one, other) == {"sources.elder.extra_headers.X-Key": (HIDDEN, HIDDEN)}
    assert found("", other) == {"sources.elder.extra_headers.X-Key": (None, HIDDEN)}
    changed = BASE.replace("http://elder", "http://me:abc123@elder.example")
    (difference,) = setting_differences(settings(), settings(base=changed))
    assert difference.key == "sources.elder.base_url"
    assert difference.words == ("http://elder:8000/v1", "http://elder.example:8000/v1")


def test_values_as_words() -> None:
    assert SettingDifference("k", None, ["a", "b"]).words == ("–", '["a", "b"]')
    assert SettingDifference("k", True, 0.5).words == ("true", "0.5")


KEYS = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.integers(1, 9),
        "concurrency": st.integers(1, 64),
        "retries": st.integers(0, 9),
        "reasoning": st.sampled_from(['"prompted"', '"native"']),
    },
)


@hypothesis_settings(deadline=None)
@given(KEYS, KEYS)
def test_a_key_is_listed_exactly_if_its_values_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    ours, theirs = (settings("".join(f"{key} = {value}\n" for key, value in d.items())) for d in (one, other))
    listed = {d.key.rpartition(".")[2]: (d.one, d.other) for d in setting_differences(ours, theirs)}
    for key in ("candidates", "concurrency", "retries"):
        values = getattr(ours.sources["elder"], key), getattr(theirs.sources["elder"], key)
        assert listed.get(key) == (values if values[0] != values[1] else None)
    mirrored = {d.key: (d.other, d.one) for d in setting_differences(theirs, ours)}
    assert mirrored == {d.key: (d.one, d.other) for d in setting_differences(ours, theirs)}
