"""Files that do not fit config.json are refused by their headers, and no artefact holds NaN."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.dense import load_dense
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.recipe_check import check_recipes
from faq_tui.core.run.run import open_run
from tests.support.architectures import make, write_rows
from tests.support.quantize_bench import Bench
from tests.support.shell import make_run
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

UP = "model.layers.1.mlp.up_proj.weight"
Tensors = dict[str, Any]


def changed(folder: Path, change: Callable[[Tensors], object]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def with_settings(folder: Path, **settings: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | settings), encoding="utf-8")
    return folder


def eight_bits(tensors: Tensors) -> None:
    import torch

    tensors[UP] = tensors[UP].to(torch.int8)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "another width": (
        lambda folder: with_settings(folder, intermediate_size=512),
        r"gate_proj\.weight has the shape \[256, 128\], which does not fit \S+config\.json: fetch the model again",
    ),
    "codes": (lambda folder: changed(folder, eight_bits), rf"{UP} has fewer than 16 bits a weight"),
    "no head": (
        lambda folder: with_settings(folder, tie_word_embeddings=False),
        r"has no tensor for lm_head\.weight: fetch the model again",
    ),
    "an unknown dtype": (
        lambda folder: with_settings(folder, dtype="bfloat17"),
        r"transformers cannot build the model of \S+config\.json \(.*bfloat17.*\): fetch the model again",
    ),
    "a wrong number of heads": (
        lambda folder: with_settings(folder, num_attention_heads=3),
        r"transformers cannot build the model of \S+config\.json \(.*attention heads.*\): fetch the model again",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("recipe", ["gptq", "spqr"])
def test_doctor_refuses_files_that_do_not_fit_their_config(kind: str, recipe: str, tmp_path: Path) -> None:
    breaks, sentence = BROKEN[kind]
    target = make_tiny_model(tmp_path / "target", layers=2)
    breaks(target)
    folder = make_run(tmp_path / "run", target=str(target), rest=f'[[recipes]]\nmethod = "{recipe}"\n')
    with open_run(folder) as run, pytest.raises(UsageError, match=sentence):
        check_recipes(run, target, CancelToken(), run.cache / "log.txt")


@pytest.mark.parametrize("method", ["gptq", "spqr", "w8a8"])
def test_a_router_with_nan_is_refused_before_the_first_layer(method: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    target = make("qwen3_moe", tmp_path / "target")
    changed(target, lambda tensors: tensors["model.layers.1.mlp.gate.weight"].view(-1)[5].fill_(float("nan")))
    spec = spec_of(tmp_path, target, method)
    messages: list[str] = []
    with pytest.raises(FaqError, match=r"layers\.1\.mlp\.gate\.weight in .* holds NaN or infinity"):
        task.run(spec, lambda kind, **_: messages.append(kind), CancelToken())
    assert "layer_started" not in messages


def test_weights_that_the_scales_cannot_hold_end_the_job(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    target = make("llama", tmp_path / "target")
    changed(target, lambda tensors: tensors["model.layers.1.mlp.down_proj.weight"].mul_(1e8))
    with pytest.raises(FaqError, match=r"layer 1 mlp\.down_proj failed because its weights are too large"):
        task.run(spec_of(tmp_path, target, "gptq"), lambda _kind, **_body: None, CancelToken())


@pytest.mark.parametrize("method", ["gptq", "spqr", "w8a8"])
def test_a_target_that_changes_during_the_job_gives_no_artefact(method: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    target = make("llama", tmp_path / "target")
    spec = spec_of(tmp_path, target, method)

    def send(kind: str, **body: Any) -> None:
        if kind == "layer_done" and body["layer"] == 0:
            changed(target, lambda tensors: tensors["model.norm.weight"].mul_(2))

    with pytest.raises(FaqError, match=r"model\.safetensors changed while the model was quantized: run again"):
        task.run(spec, send, CancelToken())
    assert not (Path(spec["out"]) / "faq_manifest.json").exists()


def test_an_empty_quantization_config_is_a_dense_model(tmp_path: Path) -> None:
    import torch

    write_rows(tmp_path / "rows.jsonl")
    plain, target = (make("llama", tmp_path / name) for name in ("plain", "target"))
    with_settings(target, quantization_config={})
    spec = spec_of(tmp_path, target, "spqr")
    task.run(spec, lambda _kind, **_body: None, CancelToken())
    assert "quantization_config" not in json.loads((Path(spec["out"]) / "config.json").read_text(encoding="utf-8"))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        logits = [load_dense(folder, torch.float32, "cpu")(ids).logits for folder in (plain, target)]
    assert torch.equal(*logits)


def spec_of(folder: Path, target: Path, method: str) -> dict[str, Any]:
    recipes: dict[str, dict[str, Any]] = {
        "gptq": {"engine": "walk"},
        "spqr": {},
        "w8a8": {"bits": 8, "group_size": -1},
    }
    spec = Bench(folder, target, []).spec("made", method=method, **recipes[method])
    assert METHODS.get(method).refusal(QuantizationJob.from_spec(spec).recipe, target, False) == ""
    return spec
