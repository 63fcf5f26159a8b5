"""The recipe keys `sink_share` and `token_weights`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import parse_settings
from faq_tui.core.settings.recipe import build_recipe, recipe_of_worker
from faq_tui.core.settings.weights import AUTO_SHARE, is_weighted, kind_weights_of, requires_weights, sink_share_of

BASE = '[target]\nmodel = "m"\n[seeds]\npath = "s.jsonl"\n'


@pytest.mark.parametrize(
    "body",
    [
        {"method": "gptaq"},
        {"method": "w8a8"},
        {"method": "awq"},
        {"bits": 8},
        {"scale_search": False},
        {"engine": "gptqmodel"},
        {"experts": "all"},
    ],
)
def test_recipes_without_weights_have_the_signatures_of_earlier_versions(body: dict[str, Any]) -> None:
    recipe = build_recipe(body)
    assert not is_weighted(recipe) and not requires_weights(recipe) and not recipe.mark()
    assert "sink_share" not in recipe.identity()
    assert recipe.unusual() == {key: value for key, value in body.items() if key not in ("method", "bits")}
    assert recipe.values().get("sink_share") == (None if recipe.method == "awq" else "off")
    assert "sink_share" not in recipe.with_keys_of_all(), "the signature of the report"
    assert recipe_of_worker(recipe.identity()).identity() == recipe.identity()


@pytest.mark.parametrize("method", ["gptq", "spqr"])
def test_the_share_of_auto_is_the_default_where_it_was_measured(method: str) -> None:
    recipe = build_recipe({"method": method})
    assert sink_share_of(recipe) == AUTO_SHARE == 0.03
    assert is_weighted(recipe) and not requires_weights(recipe), "the weights may be left out"
    assert recipe == build_recipe({"method": method, "sink_share": "auto"}) == recipe_of_worker(recipe.identity())
    assert recipe.identity()["sink_share"] == "auto" and not recipe.unusual()
    written = build_recipe({"method": method, "sink_share": 0.03})
    assert requires_weights(written) and written.identity()["sink_share"] == 0.03


@pytest.mark.parametrize("body", [{"method": "gptaq"}, {"method": "w8a8"}, {"bits": 8}, {"scale_search": False}])
def test_auto_is_off_where_no_share_helped(body: dict[str, Any]) -> None:
    plain, auto = build_recipe({**body, "sink_share": "off"}), build_recipe({**body, "sink_share": "auto"})
    assert plain.identity() == auto.identity() and plain.values() == auto.values()
    assert plain.folder("x") == auto.folder("x") and not is_weighted(auto)


def test_weights_of_kinds_come_without_a_share_of_auto() -> None:
    kinds = build_recipe({"token_weights": {"answer": 2}})
    assert sink_share_of(kinds) is None and requires_weights(kinds)
    assert kinds == build_recipe({"token_weights": {"answer": 2}, "sink_share": "auto"})
    assert build_recipe({"token_weights": {"answer": 1}}) == build_recipe({})


def test_recipes_with_and_without_weights_can_be_compared_in_one_run() -> None:
    def names(*keys: str) -> list[str]:
        text = "".join(f"[[recipes]]\n{one}\n" for one in keys)
        return [recipe.folder("x") for recipe in parse_settings(BASE + text).recipes]

    off, auto = 'sink_share = "off"', ""
    found = names(auto, off, "sink_share = 0.125", "token_weights = { answer = 2.0 }")
    assert found == [f"gptq{mark}-w4g128-x" for mark in ("", "-sinkoff", "-sink12.5", "-kinds")]
    assert names(off, auto) == ["gptq-w4g128-x", "gptq-sink3-w4g128-x"]
    assert names(off) == names(auto) == ["gptq-w4g128-x"], "a single recipe has a short name"
    assert names('bits = 8\nsink_share = "off"') == ["gptq-w8g128-x"]
    kinds = parse_settings(f"{BASE}[[recipes]]\ntoken_weights = {{ answer = 2.0 }}\n").recipes[0]
    assert kind_weights_of(kinds) == {"answer": 2.0, "reasoning": 1.0, "question": 1.0, "template": 1.0}
    assert {key: str(value) for key, value in kinds.unusual().items()} == {"token_weights": "answer 2"}
    for equal in ((auto, 'sink_share = "auto"'), (off, off), ("sink_share = 0.03", "sink_share = 0.03")):
        with pytest.raises(UsageError, match=r"two recipes would both write models/gptq-.*: remove"):
            names(*equal)


def test_recipes_with_different_weights_have_different_names() -> None:
    def names(*recipes: str) -> list[str]:
        text = "[sets.few]\ncount = 2\n" + "".join(f"[[recipes]]\n{keys}\n" for keys in recipes)
        return [recipe.folder("x") for recipe in parse_settings(BASE + text).recipes]

    one, other = "token_weights = { answer = 2 }", "token_weights = { answer = 0, template = 0.5 }"
    assert names(one) == names(other) == ["gptq-kinds-w4g128-x"], "one recipe keeps its short name"
    assert names(one, other) == ["gptq-kinds-w4g128-x", "gptq-kinds-answer0-template0.5-w4g128-x"]
    shared = "sink_share = 0.02\n"
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
        assert build_recipe({"sink_share": None}) == build_recipe({})
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
