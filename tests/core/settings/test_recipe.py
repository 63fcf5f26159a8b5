"""Recipes of every method: what each knows, presets, and a grid in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import build_recipe, default_recipe, parse_settings
from faq_tui.core.settings.edit import move_recipe, remove_recipe

BASE = '[target]\nmodel = "m"\n[seeds]\npath = "s"\n'
GRID = """
[[recipes]]
method = ["gptq", "gptaq", "awq", "spqr"]
bits = [4, 8]
preset = "paper"
"""


def folders(text: str) -> list[str]:
    return [recipe.folder("x") for recipe in parse_settings(BASE + text).recipes]


def test_four_lines_are_the_whole_grid() -> None:
    methods = ("gptq", "gptaq", "awq", "spqr")
    expected = [f"{m}-w{bits}g128-x" for m in methods for bits in (4, 8) if (m, bits) != ("awq", 8)]
    assert folders(GRID) == expected


def test_what_a_recipe_leaves_unsaid_comes_from_its_method() -> None:
    recipes = parse_settings(BASE + '[[recipes]]\nmethod = ["gptq", "awq", "spqr", "w8a8"]').recipes
    found = {recipe.method: recipe.identity() for recipe in recipes}
    assert found["gptq"] == {
        **{"method": "gptq", "bits": 4, "group_size": 128},
        **{"sym": True, "desc_act": False, "damp_percent": 0.01, "scale_search": True, "sink_share": "auto"},
    }
    assert found["awq"]["sym"] is False and "damp_percent" not in found["awq"]
    assert found["spqr"] | {"damp_percent": 0.01, "outlier_threshold": 0.2, "scale_bits": 3} == found["spqr"]
    assert found["w8a8"] == {"method": "w8a8", "bits": 8, "group_size": -1, "damp_percent": 0.01}
    assert build_recipe({"method": "spqr", "preset": "reference"}).values()["damp_percent"] == 1.0
    own = {"method": "spqr", "preset": "reference", "damp_percent": 0.5}
    assert build_recipe(own).unusual() == {"damp_percent": 0.5, "sink_share": "off"}
    assert not default_recipe().unusual()


def test_a_value_falls_away_for_a_method_of_a_list_that_cannot_have_it() -> None:
    assert folders('[[recipes]]\nmethod = ["gptq", "w8a8"]\ngroup_size = 64') == ["gptq-w4g64-x", "w8a8-w8gc-x"]
    assert folders('[[recipes]]\nmethod = ["gptq", "w8a8"]\ngroup_size = [32, 64]\nbits = [4, 8]') == [
        *("gptq-w4g32-x", "gptq-w8g32-x", "gptq-w4g64-x", "gptq-w8g64-x", "w8a8-w8gc-x")
    ]
    assert folders('[[recipes]]\nmethod = ["gptq", "awq"]\nbits = [8]') == [
        "gptq-w8g128-x"
    ]  # awq supports 4 bits only
    assert folders('[[recipes]]\nmethod = ["gptq", "spqr"]\npreset = "reference"') == [
        *("gptq-w4g128-x", "spqr-reference-w4g128-x")
    ]
    assert folders('[[recipes]]\nmethod = "awq"\nbits = [4, 8]') == ["awq-w4g128-x"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('method = ["gptq", "awq"]\nbits = [3, 4]', "`recipes[2].bits`: gptq supports 4, 8; awq supports 4, not 3"),
        ('method = ["gptq", "w8a8"]\ngroup_size = 48', "`recipes[2].group_size`: gptq supports -1, 16, 32"),
        (
            'method = ["gptq", "awq"]\npreset = "reference"',
            "`recipes[2].preset`: gptq supports paper; awq supports paper",
        ),
        ('method = "w8a8"\ngroup_size = 64', "`recipes[2].group_size`: w8a8 supports -1, not 64"),
        ('method = ["spqr", "gptq"]\nsets = ["nobody"]', "recipes[2].sets: there is no set 'nobody'"),
    ],
)
def test_a_refusal_names_the_recipe_by_its_index_in_the_file(lines: str, said: str) -> None:
    grid = '[[recipes]]\nmethod = ["gptq", "awq", "spqr"]\n'
    with pytest.raises(UsageError) as caught:
        parse_settings(f"{BASE}{grid}[[recipes]]\n{lines}")
    assert said in str(caught.value)


def test_presets_of_one_method_lie_beside_each_other() -> None:
    assert folders('[[recipes]]\nmethod = "spqr"\npreset = ["default", "reference"]') == [
        "spqr-w4g128-x",
        "spqr-reference-w4g128-x",
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('method = "awq"\nbits = 8', "`recipes[1].bits`: awq supports 4, not 8"),
        ('method = "w8a8"\ngroup_size = 128', "`recipes[1].group_size`: w8a8 supports -1, not 128"),
        (
            'method = "spqr"\ndesc_act = true',
            "spqr has no key `desc_act`; its keys are damp_percent, outlier_threshold",
        ),
        ('method = "gptq"\nalpha = 0.3', "gptq has no key `alpha`"),
        ('method = "gptaq"\ndesc_act = true', "gptaq does not support desc_act = true"),
        ('preset = "reference"', "gptq has no preset 'reference': choose one of paper"),
        ("damp_percent = 1", "`recipes[1].damp_percent`: gptq needs a value below 1, not 1"),
        ('method = ["gptq", "magic"]', "`recipes[1].method`: no quantization method 'magic'"),
        ("bits = [4, 5]", "`recipes[1].bits`: gptq supports 4, 8, not 5"),
    ],
)
def test_what_a_method_does_not_know_is_refused(lines: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings(f"{BASE}[[recipes]]\n{lines}\n")
    assert said in str(caught.value)


def test_editing_a_grid_spreads_it_out(tmp_path: Path) -> None:
    path = tmp_path / "faq.toml"
    path.write_text(f'{BASE}# kept\n{GRID}\n[[recipes]]\nmethod = "w8a8"  # kept too\n', encoding="utf-8")
    before = [recipe.folder("x") for recipe in parse_settings(path.read_text(encoding="utf-8")).recipes]
    settings = remove_recipe(path, 2)
    assert [recipe.folder("x") for recipe in settings.recipes] == before[:2] + before[3:]
    settings = move_recipe(path, 0, 1)
    expected: list[Any] = [before[1], before[0], *before[3:]]
    assert [recipe.folder("x") for recipe in settings.recipes] == expected
    text = path.read_text(encoding="utf-8")
    assert "# kept" in text and "# kept too" in text
