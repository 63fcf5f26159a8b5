"""A tiny random Qwen3-MoE through GPTQ, SpQR and W8A8: every expert counted, and the folder read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.headers import linear_shapes
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.quantizing.preflight import refuse_unquantizable
from faq_tui.core.run.run import open_run
from tests.support.quantize_bench import GPTQMODEL, WALK, Bench, tensors
from tests.support.shell import make_run
from tests.support.tiny import make_tiny_mixture

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.quantize_bench"]
OWN: dict[str, dict[str, Any]] = {
    "gptq": {"engine": WALK},
    "gptq@gptqmodel": {"engine": GPTQMODEL},
    "spqr": {},
    "w8a8": {"bits": 8, "group_size": -1},
}
# Run in a process without faq_tui, because gptqmodel replaces classes of transformers.
PLAIN = """
import json, sys, torch
from gptqmodel import GPTQModel
job = json.load(sys.stdin)
model = GPTQModel.load(job["folder"], device="cpu", backend="gptq_torch_aten").model
assert not [name for name in sys.modules if name.startswith("faq_tui")]
with torch.inference_mode():
    torch.save(model(torch.tensor(job["ids"])).logits.float(), job["out"])
"""


@pytest.fixture(scope="module")
def mixture(bench: Bench) -> Path:
    return make_tiny_mixture(bench.root / "mixture")


@pytest.mark.parametrize("name", OWN)
def test_experts_are_quantized_and_their_coverage_is_told(bench: Bench, mixture: Path, name: str) -> None:
    import torch

    out, method = bench.root / f"mixture-{name}", name.partition("@")[0]
    keys = {"sym": None, "desc_act": None} | OWN[name]
    spec = bench.spec(f"mixture-{name}", model=str(mixture), method=method, out=str(out), **keys)
    bench.worker(spec, lambda _message: None, CancelToken())
    manifest = read_manifest(out)
    assert manifest is not None and len(manifest["losses"]) == 2 * (4 + 8 * 3)
    tokens = sum(map(len, bench.ids))
    for layer, line in enumerate(manifest["experts"]):
        assert (line["layer"], line["experts"], line["rounded_experts"]) == (layer, 8, [])
        assert 0 < line["fewest_tokens"] <= line["median_tokens"] <= line["most_tokens"] < tokens
        reached = {
            entry["module"].rpartition(".")[0]: entry["samples"]
            for entry in manifest["losses"]
            if entry["layer"] == layer and ".experts." in entry["module"]
        }
        assert sum(reached.values()) == 2 * tokens  # two experts a token
    ids = torch.tensor([bench.ids[0]])
    with torch.inference_mode():
        target = load_dense(mixture, torch.float32, "cpu")(ids).logits
        found = load_dense(out, torch.float32, "cpu")(ids).logits
    assert 0 < float((found - target).norm() / target.norm()) < (0.1 if method == "w8a8" else 0.6)


def test_the_walk_packs_every_expert_and_leaves_the_router_and_gptqmodel_reads_it(
    bench: Bench, mixture: Path
) -> None:
    import torch

    out = bench.root / "mixture-read"
    bench.here(bench.spec("mixture-read", model=str(mixture), engine=WALK))
    packed, plain = tensors(out), tensors(mixture)
    modules = {name.removesuffix(".qweight") for name in packed if name.endswith(".qweight")}
    routers = {f"model.layers.{layer}.mlp.gate" for layer in range(2)}
    assert modules == set(linear_shapes(mixture)) - routers and len(modules) == 2 * (4 + 8 * 3)
    kept = {name for name in plain if name.removesuffix(".weight") not in modules}
    assert {f"{router}.weight" for router in routers} <= kept
    assert all(torch.equal(packed[name], plain[name]) for name in kept)
    assert len(packed) == len(kept) + 4 * len(modules)
    job = {"folder": str(out), "ids": [bench.ids[0]], "out": str(bench.root / "mixture.pt")}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN],
        input=json.dumps(job),
        env={**os.environ, "GPTQMODEL_CPU_WORKERS": "2", "GPTQMODEL_DISABLE_PACK_EXT": "1"},
        cwd=bench.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ids = torch.tensor(job["ids"])
    with torch.inference_mode():
        target, ours = (load_dense(folder, torch.bfloat16, "cpu")(ids).logits.float() for folder in (mixture, out))
    theirs = torch.load(job["out"])
    assert (ours - theirs).abs().mean() < (ours - target).abs().mean() / 5


def test_gptaq_wants_every_token_in_every_expert(bench: Bench, mixture: Path) -> None:
    with pytest.raises(UsageError, match='set experts = "all" in the recipe'):
        spec = bench.spec("mixture-gptaq", model=str(mixture), method="gptaq")
        bench.worker(spec, lambda _message: None, CancelToken())


def test_gptaq_is_refused_for_a_mixture_before_anything_is_asked_for(mixture: Path, tmp_path: Path) -> None:
    rest = '[[recipes]]\nmethod = "gptaq"\ngroup_size = 64\n{}'
    for number, more in enumerate(("", 'experts = "all"\n')):
        folder = make_run(tmp_path / str(number), target=str(mixture), rest=rest.format(more))
        with open_run(folder) as run:
            if more:
                refuse_unquantizable(run)
                continue
            with pytest.raises(UsageError, match="does not support the routing of a mixture of experts"):
                refuse_unquantizable(run)
            refuse_unquantizable(run, recipes=False)


def test_gptaq_with_token_weights_does_not_advise_what_is_refused(mixture: Path, tmp_path: Path) -> None:
    rest = '[[recipes]]\nmethod = "gptaq"\ngroup_size = 64\nsink_share = 0.1\n'
    folder = make_run(tmp_path / "run", target=str(mixture), rest=rest)
    with open_run(folder) as run, pytest.raises(UsageError, match="of experts: use gptq, spqr or w8a8"):
        refuse_unquantizable(run)
