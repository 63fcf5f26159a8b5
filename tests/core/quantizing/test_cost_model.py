"""What a recipe will take: the formula, what it is scaled by, and the doctor's line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.doctor import recipe_checks, recipes
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.devices import GpuInfo
from faq_tui.core.quantizing import cost_model as module
from faq_tui.core.quantizing.cost_model import QuantizationCost, estimate, layer_seconds
from faq_tui.core.quantizing.layer_profile import LayerProfile, profile_of
from faq_tui.core.quantizing.parallel import WorkerPlace
from faq_tui.core.run.run import open_run
from faq_tui.core.settings.recipe import build_recipe
from tests.support.shell import make_run
from tests.support.tiny import make_tiny_model

# As Qwen3-8B has them.
DENSE = LayerProfile(
    shapes=((4096, 4096, 2), (1024, 4096, 2), (12288, 4096, 2), (4096, 12288, 1)),
    layers=36,
    hidden=4096,
    resident_bytes=2_490_000_000,
    total_bytes=16_380_000_000,
    rows=256,
    tokens=524_288,
    longest=2048,
)


MIXTURE = dataclasses.replace(
    DENSE, shapes=(*DENSE.shapes, (768, 2048, 256), (2048, 768, 128)), experts=128, chosen=8
)
WALKED = ("gptq@walk", "gptaq@walk")


def keys() -> set[str]:
    """All cost keys."""
    return {*METHODS.names(), *WALKED}


def measured(profile: LayerProfile, **values: Any) -> dict[str, Any]:
    return {
        "method": "gptq",
        "model": "measured",
        "profile": profile.to_json(),
        "device": "cuda",
        "device_name": "GPU",
        "date": "2026-11-24",
        "seconds_per_layer": 20.0,
        "seconds_before": 30.0,
        "gpu_bytes": 20e9,
        "host_bytes": 9e9,
        **values,
    }


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "costs", lambda: tuple(rows))
    return rows


def test_what_was_measured_is_what_is_said_of_it(costs: list[dict[str, Any]]) -> None:
    cut = dataclasses.replace(DENSE, layers=4, total_bytes=4_030_000_000)
    costs.append(measured(cut))
    again = estimate("gptq", cut, "cuda")
    assert (again.seconds, again.gpu_bytes, again.host_bytes) == pytest.approx((110.0, 20e9, 9e9))
    assert again.source == "measured on GPU, 2026-11-24"
    whole = estimate("gptq", DENSE, "cuda")
    assert 36 * 20 < whole.seconds < 36 * 20 * 1.4
    assert 20e9 < whole.gpu_bytes < 25e9  # larger by the embeddings at most: the layers pass one by one


def test_the_engines_with_factors_are_the_keys_with_rows() -> None:
    engines = {f"{method.name}@{engine}" for method in METHODS.all() for engine in method.engine_costs}
    assert engines == set(WALKED)
    assert all(module.cost_of(key).walk and not module.cost_of(key.partition("@")[0]).walk for key in WALKED)


@pytest.mark.parametrize(
    ("values", "profile", "key"),
    [
        ({"method": "gptq"}, DENSE, "gptq@walk"),
        ({"method": "gptq", "engine": "walk"}, MIXTURE, "gptq@walk"),
        ({"method": "gptq", "engine": "gptqmodel"}, DENSE, "gptq"),
        ({"method": "gptq", "experts": "all"}, DENSE, "gptq@walk"),
        ({"method": "gptq", "experts": "all"}, MIXTURE, "gptq"),
        ({"method": "gptq"}, dataclasses.replace(DENSE, shapes=((4092, 4096, 7),)), "gptq"),
        ({"method": "gptq", "bits": 8}, dataclasses.replace(DENSE, shapes=((4092, 4096, 7),)), "gptq@walk"),
        ({"method": "gptaq"}, DENSE, "gptaq@walk"),
        ({"method": "gptaq", "engine": "gptqmodel"}, DENSE, "gptaq"),
        ({"method": "gptaq", "experts": "all"}, MIXTURE, "gptaq"),
        ({"method": "awq"}, DENSE, "awq"),
        ({"method": "spqr"}, MIXTURE, "spqr"),
    ],
)
def test_a_recipe_is_estimated_by_the_engine_that_it_gets(
    values: dict[str, Any], profile: LayerProfile, key: str
) -> None:
    recipe = build_recipe(values)
    method = METHODS.get(recipe.method)
    assert method.cost_key(recipe, profile) == key
    expected = estimate(key, method.workload(recipe, profile), "cuda")
    assert module.estimate_recipe(recipe, profile, "cuda") == expected


def test_the_walk_keeps_one_layer_and_no_whole_model() -> None:
    """Of a model that is twice as deep, only the time grows."""
    deep = dataclasses.replace(DENSE, layers=72, total_bytes=2 * DENSE.total_bytes - DENSE.resident_bytes)
    for key in (*WALKED, "spqr", "w8a8"):
        for device in ("cuda", "cpu"):
            once, twice = (estimate(key, profile, device) for profile in (DENSE, deep))
            assert twice.host_bytes == pytest.approx(once.host_bytes) and twice.gpu_bytes == once.gpu_bytes
            assert twice.seconds > 1.5 * once.seconds


def test_more_of_anything_takes_longer() -> None:
    for method in keys():
        for device in ("cuda", "cpu"):
            base = layer_seconds(method, DENSE, device)
            assert layer_seconds(method, dataclasses.replace(DENSE, tokens=2 * DENSE.tokens), device) > base
            wider = tuple((out, 2 * columns, count) for out, columns, count in DENSE.shapes)
            assert layer_seconds(method, dataclasses.replace(DENSE, shapes=wider), device) > 1.9 * base


def test_the_nearest_in_kind_and_size_counts(costs: list[dict[str, Any]]) -> None:
    small = dataclasses.replace(DENSE, shapes=((64, 64, 7),), tokens=1000)
    mixture = dataclasses.replace(DENSE, experts=128, chosen=8)
    costs += [measured(small, model="small"), measured(DENSE, model="alike"), measured(mixture, model="mixture")]
    costs += [measured(DENSE, model="elsewhere", device="cpu"), measured(DENSE, model="other", method="awq")]
    assert estimate("gptq", DENSE, "cuda").source.startswith("alike ")
    assert estimate("gptq", mixture, "cuda").source.startswith("mixture ")
    assert estimate("gptq", DENSE, "cpu").source.startswith("elsewhere ")
    assert estimate("spqr", DENSE, "cuda").source == ""


def told_over_measured(row: dict[str, Any]) -> tuple[float, float, float]:
    """Seconds, bytes on the GPU, bytes on the host."""
    profile = LayerProfile.from_json(row["profile"])
    told = estimate(row["method"], profile, row["device"], name=row["device_name"])
    seconds = row["seconds_before"] + profile.layers * row["seconds_per_layer"] + row["seconds_after"]
    return told.seconds / seconds, told.gpu_bytes / row["gpu_bytes"], told.host_bytes / row["host_bytes"]


@pytest.mark.parametrize("kind", ["measured", "kept_apart"])
def test_the_estimate_is_within_a_quarter_of_what_was_measured(kind: str) -> None:
    rows = module.read_costs()[kind]
    # Since the walk became faster, each model was measured once with it, so no such rows could be kept apart.
    assert {row["method"] for row in rows} == (keys() if kind == "measured" else {"gptq", "gptaq", "awq"})
    for row in rows:
        assert told_over_measured(row) == pytest.approx((1, 1, 1), abs=0.25), (row["model"], row["method"])


def test_the_formula_carries_from_model_to_model(costs: list[dict[str, Any]]) -> None:
    """The cost of each model is estimated from the rows of the other models.

    AWQ's host memory is not checked, because its estimate is wrong by up to a half. The smallest model is left out,
    because its time depends on the CPU of the machine.
    """
    rows = module.read_costs()["measured"]
    for row in rows:
        costs[:] = [other for other in rows if other["model"] != row["model"]]
        seconds, *memory = told_over_measured(row)
        assert row["method"] == "awq" or memory == pytest.approx([1, 1], abs=0.25), (row["model"], row["method"])
        limit = 0.45 if row["model"].startswith("SmolLM2") else 0.35
        assert seconds == pytest.approx(1, abs=limit), (row["model"], row["method"])


def test_the_rows_of_one_gpu_tell_of_another(costs: list[dict[str, Any]]) -> None:
    """Large models. AWQ has too few rows, and the walk was measured on one GPU only."""
    rows = module.read_costs()["measured"]
    of_both = [
        row for row in rows if row["model"] in ("qwen3-8b", "qwen3-30b-a3b") and row["method"] in ("gptq", "gptaq")
    ]
    assert {row["device_name"] for row in of_both} == {"NVIDIA H100 80GB HBM3", "NVIDIA H200"}
    for row in of_both:
        costs[:] = [other for other in rows if other["device_name"] != row["device_name"]]
        assert told_over_measured(row) == pytest.approx((1, 1, 1), abs=0.25), (row["model"], row["method"])


def test_the_same_gpu_counts_before_another(costs: list[dict[str, Any]]) -> None:
    half = dataclasses.replace(DENSE, tokens=DENSE.tokens * 9 // 10)
    costs += [measured(DENSE, device_name="one", seconds_per_layer=10.0), measured(half, device_name="other")]
    for name, told in (("one", "on one,"), ("other", "on other,"), ("a third", "on one,"), ("", "on one,")):
        assert told in estimate("gptq", DENSE, "cuda", name=name).source
    tiny = dataclasses.replace(DENSE, shapes=((64, 64, 7),), tokens=1000)
    assert "on one," in estimate("gptq", tiny, "cuda", name="one").source
    costs.append(measured(tiny, device_name="other", model="tiny"))
    assert estimate("gptq", tiny, "cuda", name="one").source.startswith("tiny on other,"), "size counts for more"


def test_experts_that_are_shown_every_token_cost_more() -> None:
    routed, every = (layer_seconds("gptaq", profile, "cuda") for profile in (MIXTURE, MIXTURE.routed("all")))
    assert every > 1.1 * routed
    assert (
        estimate("gptaq", MIXTURE.routed("all"), "cuda").gpu_bytes > 5 * estimate("gptaq", MIXTURE, "cuda").gpu_bytes
    )


def test_runs_of_one_model_count_alike(costs: list[dict[str, Any]]) -> None:
    costs += [measured(DENSE, seconds_per_layer=10.0), measured(DENSE, seconds_per_layer=20.0)]
    assert estimate("gptq", DENSE, "cuda").seconds == pytest.approx(30 + 36 * 15)


def test_a_smaller_gpu_works_in_smaller_portions(costs: list[dict[str, Any]]) -> None:
    few = dataclasses.replace(DENSE, tokens=DENSE.tokens // 2)
    small, large = (estimate("spqr", few, "cuda", gib * 2**30 / 16) for gib in (24, 140))
    assert 2e9 < large.gpu_bytes - small.gpu_bytes < 7e9
    assert small.host_bytes == large.host_bytes


def test_a_small_gpu_leaves_the_hidden_states_to_the_host() -> None:
    states = 2 * DENSE.tokens * DENSE.hidden
    for key in (*WALKED, "spqr", "w8a8"):
        copies = 2 if key == "gptaq@walk" else 1
        cost, terms = module.cost_of(key), (module.memory_terms(DENSE, gib * 2**30 / 16) for gib in (24, 140))
        small, large = terms
        more = module.summed(cost.host_bytes, small) - module.summed(cost.host_bytes, large)
        assert more == pytest.approx(copies * states)
        work = cost.gpu_bytes["work"] * (large["work"] - small["work"])
        less = module.summed(cost.gpu_bytes, large) - module.summed(cost.gpu_bytes, small)
        assert less == pytest.approx(work + copies * states)


def test_doctor_says_a_line_a_recipe_and_refuses_what_cannot_fit(
    tmp_path: Path, costs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_tiny_model(tmp_path / "target")
    rest = '[[recipes]]\nmethod = ["gptq", "spqr"]\ngroup_size = 64\n'
    rest += '[[recipes]]\nmethod = "gptq"\nbits = 8\ngroup_size = 64\nengine = "gptqmodel"\n'
    rest += "[quantize]\nparallel = 1\n"
    folder = make_run(tmp_path / "run", target=str(target), rest=rest)
    with open_run(folder) as run:
        profile = profile_of(target, 4, 4 * 2048, 2048)
        values = {"device": "cpu", "gpu_bytes": None, "host_bytes": 2e9, "seconds_per_layer": 40.0}
        costs.append(measured(profile, method="gptq@walk", **values))
        costs.append(measured(profile, model="the library's", **values))
        monkeypatch.setattr(recipes, "first_gpu", lambda: None)
        gptq, spqr, library = recipe_checks(run)
        assert "based on a measurement of the library's on GPU" in library.found
        assert gptq.name == "recipe gptq-w4g64" and gptq.state == "ok"
        assert "based on a measurement of measured on GPU" in gptq.found
        assert "tokens in a set: 4 rows of " in gptq.found
        assert "a rough guess" in spqr.found
        monkeypatch.setattr(recipes, "free_bytes", lambda _device: 10**6)
        gptq, spqr, library = recipe_checks(run)
        assert (
            library.state == "failed"
            and gptq.state == "failed"
            and "host memory are free: use fewer or shorter rows" in gptq.advice
        )
        assert spqr.state == "warning"  # nothing was measured: no ground to refuse it


def test_doctor_counts_the_memory_of_artefacts_that_are_made_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_tiny_model(tmp_path / "target")
    rest = '[[recipes]]\nmethod = ["gptq", "w8a8"]\n[quantize]\nparallel = 2\n'
    folder = make_run(tmp_path / "run", target=str(target), rest=rest)
    monkeypatch.setattr(recipes, "first_gpu", lambda: None)
    with open_run(folder) as run:
        *each, both = recipe_checks(run)
        assert len(each) == 2 and both.state == "ok"
        assert both.found.startswith("2 artefacts are made at the same time, with ")
        alone = [float(re.search(r"([\d.]+) GiB of host", one.found)[1]) for one in each]  # type: ignore[index]
        shown = float(re.search(r"([\d.]+) GiB of host", both.found)[1])  # type: ignore[index]
        assert shown >= max(alone) + 1, "the memory of both"
        monkeypatch.setattr(recipes, "free_bytes", lambda _device: 10**6)
        *each, both = recipe_checks(run)
        assert both.state == "warning" and "give quantize.parallel a lower number" in both.advice


def test_each_of_several_gpus_needs_its_share_of_the_hidden_states() -> None:
    profile = dataclasses.replace(DENSE, rows=512, tokens=512 * 2048)
    one, four = (estimate("gptq@walk", profile, "cuda", gpus=gpus) for gpus in (1, 4))
    states = 2.0 * profile.tokens * profile.hidden
    assert one.gpu_bytes - four.gpu_bytes == pytest.approx(0.75 * states, rel=0.5)
    assert one.host_bytes == four.host_bytes
    assert one.seconds == four.seconds, "two GPUs were not faster than one"
    # On a small GPU, all hidden states are in host memory, whether one GPU or four GPUs pass them on.
    small = [estimate("gptq@walk", profile, "cuda", 1e9, gpus=gpus) for gpus in (1, 2)]
    assert small[0].host_bytes == small[1].host_bytes > one.host_bytes + 0.5 * states
    # GPTQModel was measured on one GPU only, and a CPU has no GPUs.
    for key, device in (("gptq", "cuda"), ("awq", "cuda"), ("gptq@walk", "cpu")):
        assert estimate(key, profile, device, gpus=4) == estimate(key, profile, device)


def test_a_worker_of_a_gpu_starts_once_for_all_its_artefacts(
    tmp_path: Path, costs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_tiny_model(tmp_path / "target")
    recipe = 'bits = 4\ngroup_size = 64\nsets = ["baseline"]\n'
    both = f'[[recipes]]\nmethod = "gptq"\n{recipe}[[recipes]]\nmethod = "spqr"\n{recipe}'
    library = f'[[recipes]]\nmethod = "gptq"\nengine = "gptqmodel"\n{recipe.replace("4", "8", 1)}'
    seconds = []
    for number, rest in enumerate((both, both + library)):
        folder = make_run(tmp_path / f"run{number}", target=str(target), rest=rest)
        with open_run(folder) as run:
            profile = profile_of(target, 4, 4 * 2048, 2048)
            costs[:] = [
                measured(profile, method=key, seconds_per_layer=1.0, seconds_before=before)
                for key, before in (("gptq@walk", 20.0), ("spqr", 30.0), ("gptq", 40.0))
            ]
            monkeypatch.setattr(recipes, "first_gpu", lambda: GpuInfo("GPU", 10**11))
            found = recipes.quantization_time(run)
            assert found is not None
            seconds.append(found[0])
    layers = profile.layers
    assert seconds[0] == pytest.approx(2 * layers + 30 + 1, abs=0.1), "the second artefact of the worker"
    assert seconds[1] - seconds[0] == pytest.approx(40 + layers, abs=0.1), "GPTQModel needs a new worker"


@pytest.mark.parametrize("key", ["gptq@walk", "spqr"])
def test_on_a_cpu_the_hessians_of_all_experts_are_counted(key: str) -> None:
    """Layers of Qwen3-30B-A3B with 1,024 tokens took 11.2 GiB (benchmarks/results/2026-11-30-mixture-cpu.md)."""
    shapes = ((4096, 2048, 1), (512, 2048, 2), (2048, 4096, 1), (128, 2048, 1), (768, 2048, 256), (2048, 768, 128))
    layer, outside = 1_246_000_000, 1_246_000_000
    mixture = LayerProfile(
        shapes, 9, 2048, resident_bytes=outside, total_bytes=9 * layer + outside, rows=4, tokens=1024, longest=256,
        experts=128, chosen=8,
    )  # fmt: skip
    assert 11.2 < estimate(key, mixture, "cpu").host_bytes / (1 << 30) < 14


def test_doctor_counts_the_artefacts_that_share_a_gpu() -> None:
    costs = [QuantizationCost(60.0, 10e9, 1e9, "")] * 4
    on = [WorkerPlace({"CUDA_VISIBLE_DEVICES": name}) for name in "0101"]
    assert recipes.together(on, costs, 15 * 10**9, 10**12)[0].state == "warning"
    assert recipes.together(on[:2], costs, 15 * 10**9, 10**12)[0].state == "ok"
    assert recipes.together(on[:1], costs, 1, 1) == []
    assert recipes.together(on, costs, 10**12, 10**12)[0].found.endswith(" GiB of memory on each of 2 GPUs")
    pairs = [WorkerPlace({"CUDA_VISIBLE_DEVICES": names}) for names in ("0,1", "2,3")]
    (four,) = recipes.together(pairs, costs, 15 * 10**9, 10**12)
    assert four.state == "ok" and four.found.endswith(" and 9.3 GiB of memory on each of 4 GPUs")
    (one,) = recipes.together([WorkerPlace()] * 2, costs, 10**12, 10**12)
    assert one.found.endswith(" and 18.6 GiB of GPU memory")


@pytest.mark.parametrize(("gpus", "words"), [(1, "GiB of GPU memory"), (2, "GiB of memory on each of 2 GPUs")])
def test_doctor_says_on_how_many_gpus_an_artefact_is_made(
    gpus: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = f'[[recipes]]\nmethod = ["gptq", "awq"]\n[quantize]\ngpus_per_artefact = {gpus}\n'
    folder = make_run(tmp_path / "run", target=str(make_tiny_model(tmp_path / "target")), rest=rest)
    monkeypatch.setattr(recipes, "first_gpu", lambda: GpuInfo("GPU", 10**11))
    with open_run(folder) as run:
        walk, library = (one.found for one in recipe_checks(run) if one.name.startswith("recipe "))
    assert words in walk and "at least " in walk, "the walk keeps outputs in memory that is free"
    assert "GiB of GPU memory" in library, "GPTQModel was measured on one GPU only"
    assert "at least " not in library


def test_a_hub_id_is_told_from_its_cache_or_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    rest = '[[recipes]]\nmethod = "gptq"\ngroup_size = 64\n'
    with open_run(make_run(tmp_path / "run", target="someone/tiny", rest=rest)) as run:
        (line,) = recipe_checks(run)
        assert line.found == "faq-tui can estimate the cost after it has downloaded the target's files"
        repository = tmp_path / "hub" / "models--someone--tiny"
        make_tiny_model(repository / "snapshots" / "0123abc")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0123abc")
        (line,) = recipe_checks(run)
        assert line.name == "recipe gptq-w4g64" and "GiB of host memory" in line.found
