"""Every quantization method declares all that faq-tui asks of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from faq_tui.core.base.hashing import digest
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.dense import DENSE, WeightFormat, format_of
from faq_tui.core.quantizing.cost_model import MethodCost, layer_terms, memory_terms
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.quantizing.methods.base import Method
from faq_tui.core.quantizing.servable import serve_commands
from faq_tui.core.settings import parse_settings
from faq_tui.core.settings.recipe import COMMON, Recipe, build_recipe, model_of, recipe_of_worker
from tests.support.paths import ROOT

PROFILE = LayerProfile(((8, 8, 1),), 1, 8, 1, 2, 1, 1, 1)


def lacks(method: Method) -> list[str]:
    """What a method does not declare."""
    found = [word for word in ("name", "title", "help") if not getattr(method, word, "").strip()]
    model = method.recipe
    found += [f"a description of {key}" for key in model.model_fields if not model.describe(key)]
    found += [f"a default of {key}" for key in model.model_fields if model.model_fields[key].is_required()]
    found += [] if model.method_name() == method.name else ["its own name in the recipe"]
    for cost in (method.cost, *method.engine_costs.values()):
        layer, memory = layer_terms(cost, PROFILE), memory_terms(PROFILE)
        known = (set(cost.seconds) <= set(layer), set(cost.gpu_bytes) | set(cost.host_bytes))
        if not (cost.seconds and cost.gpu_bytes and cost.host_bytes):
            found.append("a cost model")
        elif not (known[0] and known[1] <= set(memory)):
            found.append("a cost model of known terms")
    reads = method.format is DENSE or type(method.format).dense_state is not WeightFormat.dense_state
    found += [] if reads and format_of(method.format.quant_method) is not None else ["a reader"]
    checked = method.format is DENSE or type(method.format).problems is not WeightFormat.problems
    served = serve_commands(Path("x"), method.format) or method.format.doubts({})
    found += [] if checked and served else ["an answer to whether it can be served"]
    found += [] if type(method).quantize is not Method.quantize else ["a writer"]
    return found


@pytest.mark.parametrize("name", METHODS.builtin)
def test_a_method_declares_everything(name: str) -> None:
    method = METHODS.get(name)
    assert isinstance(method, Method) and method.name == name
    assert lacks(method) == []


def test_what_a_method_lacks_is_found() -> None:
    class BareRecipe(Recipe):
        method: Literal["bare"] = "bare"
        bits: Literal[4] = 4
        group_size: Literal[-1] = -1
        own: int = 3

    class Bare(Method):
        name, title, help = "bare", "", ""
        recipe = BareRecipe
        format = WeightFormat()
        cost = MethodCost(seconds={"magic": 1.0})

    Bare.format.quant_method = "bare"
    assert lacks(Bare()) == [
        *("title", "help", "a description of own", "a cost model of known terms", "a reader"),
        *("an answer to whether it can be served", "a writer"),
    ]


@pytest.mark.parametrize("name", METHODS.builtin)
def test_the_guide_lists_it_with_its_widths(name: str) -> None:
    page = (ROOT / "docs/guide/recipes.md").read_text(encoding="utf-8")
    widths = ", ".join(map(str, sorted(model_of(name).choices("bits"))))
    assert f"| `{name}` | {widths} |" in page


IDENTITIES: dict[str, dict[str, Any]] = {  # as version 0.1.0 wrote them, in its order of keys
    "gptq": {"bits": 4, "group_size": 128, "sym": True, "desc_act": False, "damp_percent": 0.05},
    "gptaq": {"bits": 4, "group_size": 128, "sym": True, "desc_act": False, "damp_percent": 0.05, "alpha": 0.25},
    "awq": {"bits": 4, "group_size": 128, "sym": False},
    "spqr": {
        **{"bits": 4, "group_size": 128, "damp_percent": 0.01},
        **{"outlier_threshold": 0.2, "scale_bits": 3, "scale_group": 16},
    },
    "w8a8": {"bits": 8, "group_size": -1, "damp_percent": 0.01},
}


OLD_OPTIONS: dict[str, dict[str, Any]] = {
    "gptq": {"scale_search": False, "sink_share": "off"},
    "gptaq": {"scale_search": False},
    "spqr": {"sink_share": "off"},
}


@pytest.mark.parametrize("name", METHODS.builtin)
def test_artefacts_of_earlier_versions_stay_valid(name: str) -> None:
    # Since then, gptq, gptaq and spqr have other defaults.
    recipe = build_recipe({"method": name, **IDENTITIES[name], **OLD_OPTIONS.get(name, {})})
    before = {"method": name, **IDENTITIES[name]}
    assert json.dumps(recipe.identity()) == json.dumps(before)
    routed = {"experts": "routed"} if "experts" in recipe.own_keys() else {}
    engine = {"engine": "auto"} if "engine" in recipe.own_keys() else {}
    search = {"scale_search": False} if engine else {}
    kinds = dict.fromkeys(("answer", "reasoning", "question", "template"), 1.0)
    weights = {"sink_share": "off", "token_weights": kinds} if "sink_share" in recipe.own_keys() else {}
    assert json.dumps(recipe.values()) == json.dumps({**before, **search, **routed, **engine, **weights}), (
        "the manifest's recipe"
    )
    assert recipe_of_worker(recipe.identity()) == recipe, "the worker reads back what the stage wrote"
    if routed:
        every = build_recipe({**before, "experts": "all"})
        assert every.identity()["experts"] == "all" and digest(every.identity()) != digest(recipe.identity())
    assert ("sink_share" in recipe.own_keys()) == (name != "awq"), "GPTQModel runs AWQ"
    if weights:
        weighted = recipe_of_worker({**before, "sink_share": 0.05, "token_weights": {"answer": 2}})
        assert {**before, "sink_share": 0.05, "token_weights": {**kinds, "answer": 2.0}} == weighted.identity()
        assert recipe_of_worker(weighted.identity()) == weighted
        assert weighted.with_keys_of_all()["sink_share"] == 0.05
        assert not {"sink_share", "token_weights"} & set(recipe.with_keys_of_all())
    if engine:
        other = recipe_of_worker({**before, "engine": "gptqmodel"})
        assert {**before, "engine": "gptqmodel"} == other.identity()
        assert other.with_keys_of_all()["engine"] == "gptqmodel" and "engine" not in recipe.with_keys_of_all()


def test_the_report_names_the_keys_of_all_methods_as_before() -> None:
    own = ("sym", "desc_act", "damp_percent", "experts", "alpha", "outlier_threshold", "scale_bits", "scale_group")
    body = build_recipe({"method": "w8a8"}).with_keys_of_all()
    assert list(body) == [*COMMON, *own]
    assert {key: value for key, value in body.items() if value is not None} == {
        **{"method": "w8a8", "bits": 8, "group_size": -1, "damp_percent": 0.01}
    }


def test_the_settings_as_a_whole_name_them_too() -> None:
    """The signature of the report stage is a digest of them."""
    settings = parse_settings('[target]\nmodel = "m"\n[seeds]\npath = "s"\n[[recipes]]\nmethod = "spqr"')
    (recipe,) = settings.recipes
    assert settings.model_dump()["recipes"] == (recipe.with_keys_of_all(),)
    assert settings.model_dump()["recipes"][0]["scale_bits"] == 3


@pytest.mark.parametrize("name", METHODS.builtin)
def test_a_model_of_a_method_is_built_from_the_registry(name: str) -> None:
    assert model_of(name) is METHODS.get(name).recipe and type(build_recipe({"method": name})) is model_of(name)
