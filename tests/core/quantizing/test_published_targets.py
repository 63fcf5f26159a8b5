"""Targets in a published quantized form: artefacts, evaluation, and recipes that are refused beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.dense import FolderTensors, load_dense
from faq_tui.core.models.headers import linear_shapes, stored_tensors
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.cost_model import min_host_memory, min_memory
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_profile import profile_of
from faq_tui.core.quantizing.preflight import refuse_unquantizable
from faq_tui.core.quantizing.servable import problems
from faq_tui.core.run.run import open_run
from tests.support.published import MTP, make_tiny_deepseek, make_tiny_gpt_oss
from tests.support.quantize_bench import GPTQMODEL, WALK, Bench
from tests.support.shell import make_run

pytest_plugins = ["tests.support.quantize_bench"]

RECIPES: dict[str, dict[str, Any]] = {
    "w8a8": {"bits": 8, "group_size": -1},
    "spqr": {"group_size": 16},
    "gptq": {"group_size": 16, "engine": WALK},
}


@pytest.fixture(scope="module")
def deepseek(bench: Bench) -> tuple[Path, Path]:
    """The folder in FP8, and the same model with dense weights."""
    plain = bench.root / "deepseek-plain"
    return make_tiny_deepseek(bench.root / "deepseek", plain), plain


@pytest.fixture(scope="module")
def gpt_oss(bench: Bench) -> Path:
    return make_tiny_gpt_oss(bench.root / "gpt-oss", bench.root / "gpt-oss-plain")


@pytest.mark.slow
@pytest.mark.parametrize("method", RECIPES)
def test_the_artefact_is_that_of_the_dense_model(bench: Bench, deepseek: tuple[Path, Path], method: str) -> None:
    import torch

    published, plain = deepseek
    folders = []
    for number, model in enumerate(deepseek):
        out = bench.root / f"published-{method}-{number}"
        spec = bench.spec(out.name, model=str(model), method=method, out=str(out), **RECIPES[method])
        bench.worker(spec, lambda _message: None, CancelToken())
        folders.append(out)
    ours, theirs = folders
    stored, dense = FolderTensors(ours), FolderTensors(theirs)
    assert not [name for name in stored_tensors(ours) if name.endswith("_scale_inv")]
    assert set(stored.files) == set(dense.files)
    assert all(torch.equal(stored.read(name), dense.read(name)) for name in dense.files)
    # the walk does not quantize the layer for multi-token prediction and the routers: they are dense
    source = FolderTensors(plain)
    kept = [name for name in source.files if name.startswith(MTP) or ".mlp.gate." in name]
    assert len(kept) > 20
    assert all(torch.equal(stored.read(name), source.read(name)) for name in kept)
    assert {stored.read(name).dtype for name in kept} == {torch.bfloat16}
    config, other = (json.loads((folder / "config.json").read_text()) for folder in folders)
    assert config == other
    if method == "w8a8":
        dense_layers = {
            name.removesuffix(".weight") for name in kept if name.endswith(("_proj.weight", ".gate.weight"))
        }
        assert dense_layers <= set(config["quantization_config"]["ignore"])
    else:
        assert config.get("quantization_config", {}).get("quant_method") == (None if method == "spqr" else "gptq")
    assert problems(ours) == problems(theirs)
    index = json.loads((ours / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(stored.files)
    ids = torch.tensor([bench.ids[0]])
    with torch.inference_mode():
        logits = [load_dense(one, torch.float32, "cpu")(ids).logits.log_softmax(-1) for one in (published, *folders)]
    kl = [float((logits[0].exp() * (logits[0] - one)).sum(-1).mean()) for one in logits[1:]]
    assert kl[0] == kl[1]
    # codes that are read without their scales give a KL above 1; with 8 bits, some tokens change their experts
    assert 0 < kl[0] < (0.05 if method == "w8a8" else 0.5)


def test_sizes_are_those_of_the_dense_model(deepseek: tuple[Path, Path]) -> None:
    profiles = [profile_of(folder, 8, 400, 50) for folder in deepseek]
    assert profiles[0] == profiles[1]
    for key in ("w8a8", "spqr", "gptq@walk"):
        assert len({min_memory(folder, key, 50, 400) for folder in deepseek}) == 1
        assert len({min_host_memory(folder, key) for folder in deepseek}) == 1


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (
            "awq",
            "GPTQModel runs awq, but faq-tui does not run GPTQModel on a model in FP8 with block scales: use w8a8",
        ),
        (f'gptq"\nengine = "{GPTQMODEL}', f'engine = "{GPTQMODEL}" is set, but faq-tui does not run GPTQModel'),
        ('gptq"\nexperts = "all', "does not calibrate every expert on every token"),
        ('gptaq"\nexperts = "all', "but faq-tui does not run GPTQModel on a model in FP8 with block scales"),
    ],
)
def test_recipes_of_gptqmodel_are_refused_beforehand(
    deepseek: tuple[Path, Path], tmp_path: Path, recipe: str, sentence: str
) -> None:
    published, plain = deepseek
    rest = f'[[recipes]]\nmethod = "{recipe}"\ngroup_size = 16\n'
    with open_run(make_run(tmp_path / "plain", target=str(plain), rest=rest)) as run:
        refuse_unquantizable(run)
    with open_run(make_run(tmp_path / "published", target=str(published), rest=rest)) as run:
        with pytest.raises(UsageError, match=sentence):
            refuse_unquantizable(run)
        refuse_unquantizable(run, recipes=False)


def test_recipes_of_the_walk_are_accepted(deepseek: tuple[Path, Path], tmp_path: Path) -> None:
    for method in ("w8a8", "spqr", "gptq"):
        group = "" if method == "w8a8" else "group_size = 16\n"
        folder = make_run(
            tmp_path / method, target=str(deepseek[0]), rest=f'[[recipes]]\nmethod = "{method}"\n{group}'
        )
        with open_run(folder) as run:
            refuse_unquantizable(run)


@pytest.mark.parametrize("method", [name for name in METHODS.builtin if name != "spqr"])
def test_no_packed_recipe_takes_experts_in_mxfp4(bench: Bench, gpt_oss: Path, tmp_path: Path, method: str) -> None:
    experts = 'experts = "all"\n' if method == "gptaq" else ""
    folder = make_run(tmp_path, target=str(gpt_oss), rest=f'[[recipes]]\nmethod = "{method}"\n{experts}')
    sentence = "no server reads packed weights of experts that are published in MXFP4: use spqr"
    with open_run(folder) as run:
        with pytest.raises(UsageError, match=sentence):
            refuse_unquantizable(run)
        refuse_unquantizable(run, recipes=False)
    if method == "w8a8":
        with pytest.raises(UsageError, match=sentence):
            spec = bench.spec("oss", model=str(gpt_oss), method=method, **RECIPES[method])
            task.check_job(QuantizationJob.from_spec(spec), METHODS.get(method), CancelToken())


def test_linear_shapes_of_experts_are_known(deepseek: tuple[Path, Path]) -> None:
    assert linear_shapes(deepseek[0])["model.layers.1.mlp.experts.3.down_proj"] == (192, 64)


@pytest.mark.slow
def test_spqr_of_experts_in_mxfp4_is_that_of_the_dense_model(bench: Bench, gpt_oss: Path) -> None:
    import torch

    plain, folders = bench.root / "gpt-oss-plain", []
    for number, model in enumerate((gpt_oss, plain)):
        out = bench.root / f"oss-{number}"
        spec = bench.spec(out.name, model=str(model), method="spqr", out=str(out), **RECIPES["spqr"])
        bench.worker(spec, lambda _message: None, CancelToken())
        folders.append(out)
    ours, theirs, before = (FolderTensors(folder) for folder in (*folders, plain))
    assert set(ours.files) == set(theirs.files) == set(stored_tensors(folders[0]))
    assert all(torch.equal(ours.read(name), theirs.read(name)) for name in theirs.files)
    experts = "model.layers.1.mlp.experts.gate_up_proj"
    assert not torch.equal(ours.read(experts), before.read(experts))
    assert "quantization_config" not in json.loads((folders[0] / "config.json").read_text())
