"""Quantizing for real, on a tiny random Llama: worker, both engines of GPTQ, plain transformers, dense loader."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing.output import is_whole, read_manifest
from tests.support.quantize_bench import (
    GPTQMODEL,
    GROUP,
    LAYERS,
    MODULES,
    WALK,
    Artefact,
    Bench,
    Message,
    children,
    tensors,
)

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.quantize_bench"]


def packed_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """(out_features, in_features) of every module that a GPTQ folder holds packed."""
    tensors = tensors_of(folder)
    return {
        name.removesuffix(".qweight"): (shape[1], tensors[name.removesuffix("qweight") + "g_idx"][1][0])
        for name, (_, shape, _) in tensors.items()
        if name.endswith(".qweight")
    }


# --- what the worker says ---


def test_messages_are_complete_and_in_order(bench: Bench, artefact: Artefact) -> None:
    kinds = [message["kind"] for message in artefact.messages]
    assert kinds[0] == "quantize_started" and kinds[-2:] == ["saving", "quantized"]
    tokens = sum(map(len, bench.ids))
    assert artefact.messages[0] == {
        "kind": "quantize_started",
        "layers": LAYERS,
        "samples": len(bench.ids),
        "tokens": tokens,
    }
    assert [(m["layer"], set(m["modules"])) for m in artefact.of("layer_started")] == [
        (layer, MODULES) for layer in range(LAYERS)
    ]
    assert sorted(m["layer"] for m in artefact.of("layer_done")) == list(range(LAYERS))
    done = [(m["layer"], m["module"]) for m in artefact.of("module")]
    assert len(done) == LAYERS * len(MODULES)
    assert set(done) == {(layer, module) for layer in range(LAYERS) for module in MODULES}
    for message in artefact.of("module"):
        assert math.isfinite(message["loss"]) and message["loss"] > 0
        assert message["samples"] == tokens and message["seconds"] >= 0 and 0 < message["damp"] < 1
    for layer in range(LAYERS):  # a layer's modules lie between its start and its end
        at = [i for i, m in enumerate(artefact.messages) if m.get("layer") == layer]
        assert kinds[at[0]] == "layer_started" and kinds[at[-1]] == "layer_done"


@pytest.mark.parametrize("engine", [WALK, GPTQMODEL])
def test_more_bits_lose_less(artefacts: dict[tuple[str, int], Artefact], engine: str) -> None:
    total = {bits: sum(m["loss"] for m in artefacts[engine, bits].of("module")) for bits in (4, 8)}
    assert total[8] < total[4] / 50


def test_the_last_message_sums_up(artefact: Artefact) -> None:
    last = artefact.messages[-1]
    assert last["average_bits"] == artefact.bits + (16 + artefact.bits) / GROUP
    assert [(m["layer"], m["module"], m["loss"]) for m in last["losses"]] == [
        (m["layer"], m["module"], m["loss"]) for m in artefact.of("module")
    ]
    assert 100 < last["peak_memory_mb"] < 20_000 and 0 < last["seconds"] < 600


# --- what it leaves ---


def test_the_folder_is_whole_and_names_nothing_local(bench: Bench, artefact: Artefact) -> None:
    files = {path.name for path in artefact.folder.iterdir()}
    assert {"config.json", "model.safetensors", "faq_manifest.json"} <= files
    configs = ["config.json", *(["quantize_config.json"] if artefact.engine == GPTQMODEL else [])]
    assert files >= set(configs)
    assert ".work" not in files and "logs" not in files and is_whole(artefact.folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (artefact.folder / name).read_bytes() == (bench.model / name).read_bytes()
    for name in configs:
        assert "offload_to_disk_path" not in (artefact.folder / name).read_text()
        assert str(bench.root.parents[1]) not in (artefact.folder / name).read_text()
    manifest = read_manifest(artefact.folder)
    assert manifest is not None
    assert manifest["engine"] == manifest["recipe"]["engine"] == artefact.engine
    assert manifest["recipe"]["bits"] == artefact.bits and manifest["samples"] == len(bench.ids)
    assert manifest["versions"]["gptqmodel"] == "7.7.0" and manifest["versions"]["torch"]


def test_every_decoder_linear_is_packed_and_nothing_else(bench: Bench, artefact: Artefact) -> None:
    assert packed_shapes(artefact.folder) == linear_shapes(bench.model)
    assert len(packed_shapes(artefact.folder)) == LAYERS * len(MODULES)


@pytest.mark.parametrize("engine", [WALK, GPTQMODEL])
def test_the_same_rows_give_the_same_bits_and_exactly_they_reach_the_model(
    bench: Bench, artefacts: dict[tuple[str, int], Artefact], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    import torch

    from faq_tui.core.models.gptqmodel_environment import import_gptqmodel

    if engine == GPTQMODEL:
        import_gptqmodel()
    seen: list[list[int]] = []
    original = torch.nn.functional.embedding

    def embedding(ids: Any, weight: Any, *rest: Any, **named: Any) -> Any:
        if weight.is_contiguous():  # otherwise, this is the trial call of a model without weights
            seen.extend(ids.tolist())  # (1, tokens): the very input of layer 0
        return original(ids, weight, *rest, **named)

    monkeypatch.setattr(torch.nn.functional, "embedding", embedding)
    before = Path.cwd()
    bench.here(bench.spec(f"again-{engine}", engine=engine))
    assert Path.cwd() == before
    assert seen == bench.ids
    first, second = tensors(artefacts[engine, 4].folder), tensors(bench.root / f"again-{engine}")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


# --- the dense loader, and who else can read the folder ---


def unpacked(packed: dict[str, Any], module: str, bits: int) -> Any:
    """GPTQ's storage undone a bit field at a time: (out_features, in_features) in float32."""
    import torch

    per_word, mask = 32 // bits, (1 << bits) - 1
    words, zeros = packed[f"{module}.qweight"].tolist(), packed[f"{module}.qzeros"].tolist()
    scales, groups = packed[f"{module}.scales"].float(), packed[f"{module}.g_idx"].tolist()
    weight = torch.empty(scales.shape[1], len(groups))
    for column, group in enumerate(groups):
        for row in range(weight.shape[0]):
            code = words[column // per_word][row] >> (column % per_word * bits) & mask
            zero = (zeros[group][row // per_word] >> (row % per_word * bits) & mask) + 1  # stored less one
            weight[row, column] = (code - zero) * scales[group, row]
    return weight


def test_dense_weights_are_the_packed_ones(bench: Bench, artefact: Artefact) -> None:
    import torch

    model = load_dense(artefact.folder, torch.float32, "cpu")
    packed = tensors(artefact.folder)
    module = "model.layers.1.self_attn.v_proj"
    assert torch.equal(model.get_submodule(module).weight, unpacked(packed, module, artefact.bits))
    assert not model.training and {p.dtype for p in model.parameters()} == {torch.float32}
    assert {type(m).__name__ for m in model.modules() if hasattr(m, "in_features")} == {"Linear"}
    assert model.lm_head.weight is model.model.embed_tokens.weight  # tied, as in the target
    assert getattr(model.config, "quantization_config", None) is None


PLAIN = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTQConfig
job = json.load(sys.stdin)
logits = []
for bits, folder, backend in job["folders"]:
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=GPTQConfig(bits=bits, backend=backend),
        dtype=torch.bfloat16, device_map="cpu")
    assert type(model.model.layers[0].mlp.up_proj).__name__ != "Linear"
    with torch.inference_mode():
        logits.append(model(torch.tensor(job["ids"])).logits.float())
    assert "assistant" in AutoTokenizer.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": "x"}], tokenize=False, add_generation_prompt=True)
assert not [name for name in sys.modules if name.startswith("faq_tui")]
torch.save(logits, job["out"])
"""


def test_plain_transformers_reads_the_folders_and_agrees(
    bench: Bench, artefacts: dict[tuple[str, int], Artefact]
) -> None:
    """In a process without faq_tui, by the kernels that need no compiler."""
    import torch

    out = bench.root / "logits.pt"
    kernels = {4: "gptq_torch_aten", 8: "gptq_torch_int8"}
    job = {
        "folders": [(made.bits, str(made.folder), kernels[made.bits]) for made in artefacts.values()],
        "ids": [row[:48] for row in bench.ids],
        "out": str(out),
    }
    environment = {**os.environ, "GPTQMODEL_CPU_WORKERS": "2", "GPTQMODEL_DISABLE_PACK_EXT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN],
        input=json.dumps(job),
        env=environment,
        cwd=bench.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ids = torch.tensor(job["ids"])
    with torch.inference_mode():
        target = load_dense(bench.model, torch.bfloat16, "cpu")(ids).logits.float()
        for made, theirs in zip(artefacts.values(), torch.load(out), strict=True):
            ours = load_dense(made.folder, torch.bfloat16, "cpu")(ids).logits.float()
            apart = (ours - theirs).abs().mean()
            assert apart < 0.03 * ours.std()  # two bf16 kernels; the wrong zero point gives 0.3 and more
            if made.bits == 4:
                assert apart < (ours - target).abs().mean() / 3


def test_the_unquantized_model_loads_through_the_same_door(bench: Bench) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    ours = load_dense(bench.model, torch.float32, "cpu")
    plain = AutoModelForCausalLM.from_pretrained(bench.model, dtype=torch.float32)
    assert type(ours) is type(plain) and not ours.training
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))


def test_a_folder_that_lacks_weights_is_not_filled_with_random_ones(
    artefacts: dict[tuple[str, int], Artefact], tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "torn"
    shutil.copytree(artefacts[WALK, 4].folder, folder)
    rest = {name: t for name, t in tensors(folder).items() if "layers.1.mlp.up_proj" not in name}
    save_file(rest, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(FaqError, match=r"lacks the weights model\.layers\.1\.mlp\.up_proj\.weight"):
        load_dense(folder, torch.float32, "cpu")


def test_an_unknown_quantization_is_refused(artefacts: dict[tuple[str, int], Artefact], tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "other"
    shutil.copytree(artefacts[WALK, 4].folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["quant_method"] = "other"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FaqError, match="quantized as 'other'"):
        load_dense(folder, torch.float32, "cpu")


# --- how it ends early ---


@pytest.mark.parametrize("engine", [WALK, GPTQMODEL])
def test_a_killed_child_leaves_nothing_that_counts_as_whole(bench: Bench, engine: str) -> None:
    def kill_at_the_first_module(message: Message) -> None:
        if message["kind"] == "module":
            for pid in children():
                os.kill(pid, signal.SIGKILL)

    spec = bench.spec(f"killed-{engine}", engine=engine)
    with pytest.raises(FaqError, match="killed by the system"):
        bench.worker(spec, kill_at_the_first_module, CancelToken())
    assert Path(spec["out"]).exists() and not is_whole(Path(spec["out"])) and not children()
    with pytest.raises(FaqError, match="is not empty"):
        bench.here(spec)


NOT_FINITE = "failed because its weights are not finite"


@pytest.mark.parametrize(
    ("engine", "tensor", "value", "sentence"),
    [
        # Its own loss would read 0.0, and the next be blamed; after the last one nothing is said.
        (
            GPTQMODEL,
            "model.layers.0.self_attn.v_proj.weight",
            "nan",
            r"layer 0 self_attn\.v_proj failed because .* nan",
        ),
        (GPTQMODEL, "model.layers.1.mlp.down_proj.weight", "nan", r"layer 1 mlp\.down_proj failed"),
        (GPTQMODEL, "model.layers.0.mlp.up_proj.weight", "inf", r"layer 0 mlp\.up_proj failed"),
        (WALK, "model.layers.0.self_attn.v_proj.weight", "nan", rf"layer 0 self_attn\.v_proj {NOT_FINITE}"),
        (WALK, "model.layers.1.mlp.down_proj.weight", "nan", rf"layer 1 mlp\.down_proj {NOT_FINITE}"),
        (WALK, "model.layers.0.mlp.up_proj.weight", "inf", rf"layer 0 mlp\.up_proj {NOT_FINITE}"),
        ("auto", "model.norm.weight", "nan", r"model\.norm\.weight in .* holds NaN or infinity"),
        ("auto", "model.embed_tokens.weight", "inf", r"model\.embed_tokens\.weight in .* holds NaN or infinity"),
    ],
)
def test_a_broken_weight_fails_by_name(
    bench: Bench, tmp_path: Path, engine: str, tensor: str, value: str, sentence: str
) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "poisoned"
    shutil.copytree(bench.model, folder)
    weights = tensors(folder)
    weights[tensor].view(-1)[5] = float(value)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    out = tmp_path / "out"
    with pytest.raises(FaqError, match=sentence):
        bench.here(bench.spec("broken", model=str(folder), out=str(out), engine=engine))
    assert not is_whole(out)


def test_an_error_in_a_thread_of_gptqmodel_comes_out_as_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left as it is, gptqmodel would end this process with os._exit(1)."""
    from faq_tui.core.models.gptqmodel_environment import import_gptqmodel

    import_gptqmodel()
    from gptqmodel.quantization import GPTQ

    def quantize(*_: Any, **__: Any) -> None:
        raise MemoryError("no room for the Hessian")

    monkeypatch.setattr(GPTQ, "quantize", quantize)
    with pytest.raises(MemoryError, match="no room"):
        bench.here(bench.spec("memory", engine=GPTQMODEL))


def test_gpus_that_the_worker_does_not_see_are_named_before_anything_is_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from faq_tui.core.models.devices import devices_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices_of("auto", 2) == ["cuda:0", "cuda:1"]
    assert devices_of("cuda", 1) == devices_of("auto", 1) == ["cuda"] and devices_of("cpu", 3) == ["cpu"] * 3
    with pytest.raises(FaqError, match=r"is 3, but the worker sees 2 GPUs: set it to 2, or let CUDA_VISIBLE_DEVICES"):
        devices_of("cuda", 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    messages = list[Message]()
    with pytest.raises(FaqError, match="is 2, but the worker sees no GPUs: set it to 1"):
        messages += bench.here(bench.spec("no-gpus", engine=WALK, device="auto", devices=2))
    assert not messages and not (bench.root / "no-gpus").exists()


@pytest.mark.parametrize("variable", [None, "3"])
def test_a_limit_of_threads_ends_with_the_quantization(
    variable: str | None, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may get another task, which has no limit."""
    import torch

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    used, before = list[tuple[int, str]](), torch.get_num_threads()

    def quantize(*_: object) -> None:
        used.append((torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]))
        raise FaqError("it fails")

    monkeypatch.setattr(METHODS.get("gptq"), "quantize", quantize, raising=False)
    torch.set_num_threads(2)
    try:
        with pytest.raises(FaqError, match="it fails"):
            bench.here(bench.spec("limited", engine=WALK, threads=1))
        after = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    finally:
        torch.set_num_threads(before)
    assert used == [(1, "1")] and after == (2, variable)
