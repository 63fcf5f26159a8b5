"""The recipe keys `sink_share` and `token_weights`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import parse_settings
from faq_tui.core.settings.recipe import build_recipe
from faq_tui.core.settings.weights import AUTO_SHARE, is_weighted, kind_weights_of, sink_share_of

BASE = '[target]\nmodel = "m"\n[seeds]\npath = "s.jsonl"\n'


def test_without_the_keys_nothing_is_weighted() -> None:
    for body in ({}, {"sink_share": "off"}, {"token_weights": {"answer": 1}}, {"method": "awq"}):
        recipe = build_recipe(body)
        assert not is_weighted(recipe) and recipe.identity() == build_recipe({**body}).identity()
        assert not recipe.mark() and "sink_share" not in recipe.identity() and not recipe.unusual()


def test_auto_is_the_share_that_was_best() -> None:
    recipe = build_recipe({"sink_share": "auto"})
    assert sink_share_of(recipe) == AUTO_SHARE == 0.02
    assert recipe == build_recipe({"sink_share": AUTO_SHARE}), "so both have the same signature"


def test_recipes_with_and_without_weights_can_be_compared_in_one_run() -> None:
    text = "".join(
        f"[[recipes]]\n{keys}\n"
        for keys in ("", 'sink_share = "auto"', "sink_share = 0.125", "token_weights = { answer = 2.0 }")
    )
    names = [recipe.folder("x") for recipe in parse_settings(BASE + text).recipes]
    marks = ("", "-sink2", "-sink12.5", "-kinds")
    assert names == [f"gptq{mark}-w4g128-x" for mark in marks]
    kinds = parse_settings(BASE + text).recipes[-1]
    assert kind_weights_of(kinds) == {"answer": 2.0, "reasoning": 1.0, "question": 1.0, "template": 1.0}
    assert {key: str(value) for key, value in kinds.unusual().items()} == {"token_weights": "answer 2"}
    with pytest.raises(UsageError, match="two recipes would both write models/gptq-sink2-w4g128-baseline: remove"):
        parse_settings(BASE + '[[recipes]]\nsink_share = "auto"\n[[recipes]]\nsink_share = 0.02\n')


def test_recipes_with_different_weights_have_different_names() -> None:
    def names(*recipes: str) -> list[str]:
        text = "[sets.few]\ncount = 2\n" + "".join(f"[[recipes]]\n{keys}\n" for keys in recipes)
        return [recipe.folder("x") for recipe in parse_settings(BASE + text).recipes]

    one, other = "token_weights = { answer = 2 }", "token_weights = { answer = 0, template = 0.5 }"
    assert names(one) == names(other) == ["gptq-kinds-w4g128-x"], "one recipe keeps its short name"
    assert names(one, other) == ["gptq-kinds-w4g128-x", "gptq-kinds-answer0-template0.5-w4g128-x"]
    shared = 'sink_share = "auto"\n'
    assert names(shared + other, shared + one)[1] == "gptq-sink2-kinds-answer2-w4g128-x"
    apart = [f"{weights}\nsets = ['{name}']" for weights, name in ((one, "baseline"), (other, "few"))]
    assert names(*apart) == ["gptq-kinds-w4g128-x"] * 2, "these folders differ by the names of their sets"
    for equal in ((one, one), (one, other, one), (one, other, other)):
        with pytest.raises(UsageError, match="two recipes would both write models/gptq-kinds-"):
            names(*equal)
    with pytest.raises(UsageError, match="two recipes would both write models/gptq-kinds-w4g128-baseline"):
        names(one, f"{one}\ndamp_percent = 0.3")


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, True, "on", "", [0.1], None, float("nan"), float("inf")])
def test_a_share_that_is_none(share: Any) -> None:
    if share is None:
        assert not is_weighted(build_recipe({"sink_share": None}))
        return
    with pytest.raises(ValidationError, match='give "off", "auto" or a number above 0 and below 1'):
        build_recipe({"sink_share": share})


@pytest.mark.parametrize("weights", [{"answers": 1}, {"answer": -1}, {"answer": float("nan")}, {"answer": "x"}, 3])
def test_weights_that_are_none(weights: Any) -> None:
    with pytest.raises(ValidationError):
        build_recipe({"token_weights": weights})


def test_a_mistyped_kind_is_compared_with_the_kinds() -> None:
    with pytest.raises(UsageError, match=r"unknown key `recipes\[1\].token_weights.answr`; did you mean `answer`\?"):
        parse_settings(f"{BASE}[[recipes]]\ntoken_weights = {{ answr = 2 }}\n")
    with pytest.raises(UsageError, match="valid keys: answer, question, reasoning, template"):
        parse_settings(f"{BASE}[[recipes]]\ntoken_weights = {{ zzz = 2 }}\n")


def test_some_kind_must_count() -> None:
    nothing = dict.fromkeys(("answer", "reasoning", "question", "template"), 0)
    with pytest.raises(ValidationError, match="at least one weight must be above 0"):
        build_recipe({"token_weights": nothing})


@pytest.mark.parametrize("key", ["sink_share = 0.1", "token_weights = { answer = 2 }"])
@pytest.mark.parametrize("rest", ['method = "awq"', 'method = ["gptq", "awq"]'])
def test_awq_is_refused_with_the_reason(key: str, rest: str) -> None:
    with pytest.raises(UsageError, match="GPTQModel counts every token once; use gptq, gptaq, spqr or w8a8"):
        parse_settings(f"{BASE}[[recipes]]\n{rest}\n{key}\n")


@pytest.mark.parametrize("rest", ['engine = "gptqmodel"', 'experts = "all"'])
def test_gptqmodel_is_refused_with_the_reason(rest: str) -> None:
    with pytest.raises(UsageError, match="which counts every token once: remove this setting, or remove sink_share"):
        parse_settings(f"{BASE}[[recipes]]\nsink_share = 0.1\n{rest}\n")
    parse_settings(f"{BASE}[[recipes]]\n{rest}\n")
