"""Quantizing for real, on a tiny random Llama: worker, gptqmodel, plain transformers, dense loader."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny import make_rows, make_tiny_model

from faq_tui.core.cancel import CancelToken
from faq_tui.core.errors import FaqError, Stopped, UsageError
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.headers import linear_shapes, packed_shapes
from faq_tui.core.quantizing import check, task
from faq_tui.core.quantizing.losses import read_loss
from faq_tui.core.quantizing.manifest import average_bits, is_whole, read_manifest, write_manifest
from faq_tui.core.quantizing.progress import Progress
from faq_tui.core.worker import run_worker

REPO = Path(__file__).parents[2]
LAYERS, GROUP = 2, 32
MODULES = {
    f"{block}_proj"
    for block in (
        "self_attn.q",
        "self_attn.k",
        "self_attn.v",
        "self_attn.o",
        "mlp.gate",
        "mlp.up",
        "mlp.down",
    )
}
Message = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """A target, its calibration rows, and a place for artefacts."""

    root: Path
    model: Path
    ids: list[list[int]]

    def spec(self, name: str, **changes: Any) -> dict[str, Any]:
        whole = {
            "artefact": name,
            "model": str(self.model),
            "trust_remote_code": False,
            "method": "gptq",
            "bits": 4,
            "group_size": GROUP,
            "sym": True,
            "desc_act": False,
            "damp_percent": None,
            "rows": str(self.root / "rows.jsonl"),
            "out": str(self.root / name),
            "device": "cpu",
            "backend": "auto",
        }
        return {**whole, **changes}

    def worker(
        self, spec: dict[str, Any], on_message: Callable[[Message], None], cancel: CancelToken
    ) -> None:
        path = os.pathsep.join(filter(None, (str(REPO), os.environ.get("PYTHONPATH"))))
        run_worker("quantize", spec, on_message, cancel, self.root / "jobs" / "log.txt", {"PYTHONPATH": path})

    def here(self, spec: dict[str, Any]) -> list[Message]:
        """The task in this very process."""
        messages: list[Message] = []
        task.run(spec, lambda kind, **body: messages.append({"kind": kind, **body}), CancelToken())
        return messages


@dataclass(frozen=True)
class Artefact:
    bits: int
    folder: Path
    messages: list[Message]

    def of(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message["kind"] == kind]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("quantizing")
    model = make_tiny_model(root / "target", layers=LAYERS)
    return Bench(root, model, make_rows(root / "rows.jsonl"))


@pytest.fixture(scope="module")
def artefacts(bench: Bench) -> dict[int, Artefact]:
    """4 and 8 bits, each from a worker child of its own."""
    made = {}
    for bits in (4, 8):
        messages: list[Message] = []
        spec = bench.spec(f"w{bits}", bits=bits)
        bench.worker(spec, messages.append, CancelToken())
        made[bits] = Artefact(bits, Path(spec["out"]), messages)
    return made


@pytest.fixture(params=[4, 8])
def artefact(request: pytest.FixtureRequest, artefacts: dict[int, Artefact]) -> Artefact:
    return artefacts[request.param]


def children() -> list[int]:
    """Worker children of this process that still live."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = path.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"core.worker.child" in path.joinpath("cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


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


def test_more_bits_lose_less(artefacts: dict[int, Artefact]) -> None:
    total = {bits: sum(m["loss"] for m in artefact.of("module")) for bits, artefact in artefacts.items()}
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
    assert {"config.json", "model.safetensors", "quantize_config.json", "faq_manifest.json"} <= files
    assert ".work" not in files and "logs" not in files and is_whole(artefact.folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (artefact.folder / name).read_bytes() == (bench.model / name).read_bytes()
    for name in ("config.json", "quantize_config.json"):
        assert "offload_to_disk_path" not in (artefact.folder / name).read_text()
        assert str(bench.root) not in (artefact.folder / name).read_text()
    manifest = read_manifest(artefact.folder)
    assert manifest is not None
    assert manifest["recipe"]["bits"] == artefact.bits and manifest["samples"] == len(bench.ids)
    assert manifest["versions"]["gptqmodel"] == "7.7.0" and manifest["versions"]["torch"]


def test_every_decoder_linear_is_packed_and_nothing_else(bench: Bench, artefact: Artefact) -> None:
    assert packed_shapes(artefact.folder) == linear_shapes(bench.model)
    assert len(packed_shapes(artefact.folder)) == LAYERS * len(MODULES)


def test_the_same_rows_give_the_same_bits_and_exactly_they_reach_the_model(
    bench: Bench, artefacts: dict[int, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from faq_tui.core.models.gptqmodel_env import import_gptqmodel

    import_gptqmodel()
    seen: list[list[int]] = []
    original = torch.nn.functional.embedding

    def embedding(ids: Any, *rest: Any, **named: Any) -> Any:
        seen.extend(ids.tolist())  # (1, tokens): the very input of layer 0
        return original(ids, *rest, **named)

    monkeypatch.setattr(torch.nn.functional, "embedding", embedding)
    before = Path.cwd()
    bench.here(bench.spec("again"))
    assert Path.cwd() == before
    assert seen == bench.ids
    first, second = tensors(artefacts[4].folder), tensors(bench.root / "again")
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
    bench: Bench, artefacts: dict[int, Artefact]
) -> None:
    """In a process without faq_tui, by the kernels that need no compiler."""
    import torch

    out = bench.root / "logits.pt"
    kernels = {4: "gptq_torch_aten", 8: "gptq_torch_int8"}
    job = {
        "folders": [(bits, str(artefact.folder), kernels[bits]) for bits, artefact in artefacts.items()],
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
        for bits, theirs in zip(artefacts, torch.load(out), strict=True):
            ours = load_dense(artefacts[bits].folder, torch.bfloat16, "cpu")(ids).logits.float()
            apart = (ours - theirs).abs().mean()
            assert apart < 0.03 * ours.std()  # two bf16 kernels; the wrong zero point gives 0.3 and more
            if bits == 4:
                assert apart < (ours - target).abs().mean() / 3


def test_the_unquantized_model_loads_through_the_same_door(bench: Bench) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    ours = load_dense(bench.model, torch.float32, "cpu")
    plain = AutoModelForCausalLM.from_pretrained(bench.model, dtype=torch.float32)
    assert type(ours) is type(plain) and not ours.training
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))


def test_a_folder_that_lacks_weights_is_not_filled_with_random_ones(
    artefacts: dict[int, Artefact], tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "torn"
    shutil.copytree(artefacts[4].folder, folder)
    rest = {name: t for name, t in tensors(folder).items() if "layers.1.mlp.up_proj" not in name}
    save_file(rest, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(FaqError, match=r"lacks the weights model\.layers\.1\.mlp\.up_proj\.weight"):
        load_dense(folder, torch.float32, "cpu")


def test_an_unknown_quantization_is_refused(artefacts: dict[int, Artefact], tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "other"
    shutil.copytree(artefacts[4].folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["quant_method"] = "other"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FaqError, match="quantized as 'other'"):
        load_dense(folder, torch.float32, "cpu")


# --- how it ends early ---


def test_a_stop_ends_the_child_at_the_next_step(bench: Bench) -> None:
    deep = make_tiny_model(bench.root / "deep", layers=8)
    cancel, messages = CancelToken(), list[Message]()

    def stop_at_the_first_module(message: Message) -> None:
        messages.append(message)
        if message["kind"] == "module":
            cancel.set()

    spec = bench.spec("stopped", model=str(deep))
    with pytest.raises(Stopped):
        bench.worker(spec, stop_at_the_first_module, cancel)
    assert not children() and not is_whole(Path(spec["out"]))
    started = {message["layer"] for message in messages if message["kind"] == "layer_started"}
    assert 0 in started and 7 not in started
    assert not Path(spec["out"], ".work").exists()  # it unwound; a killed one leaves that


def test_a_killed_child_leaves_nothing_that_counts_as_whole(bench: Bench) -> None:
    def kill_at_the_first_module(message: Message) -> None:
        if message["kind"] == "module":
            for pid in children():
                os.kill(pid, signal.SIGKILL)

    spec = bench.spec("killed")
    with pytest.raises(FaqError, match="killed by the system"):
        bench.worker(spec, kill_at_the_first_module, CancelToken())
    assert Path(spec["out"]).exists() and not is_whole(Path(spec["out"])) and not children()
    with pytest.raises(FaqError, match="is not empty"):
        bench.here(spec)


@pytest.mark.parametrize(
    ("tensor", "value", "sentence"),
    [
        # Its own loss would read 0.0, and the next be blamed; after the last one nothing is said.
        (
            "model.layers.0.self_attn.v_proj.weight",
            "nan",
            r"layer 0 self_attn\.v_proj failed because .* nan",
        ),
        ("model.layers.1.mlp.down_proj.weight", "nan", r"layer 1 mlp\.down_proj failed"),
        ("model.layers.0.mlp.up_proj.weight", "inf", r"layer 0 mlp\.up_proj failed"),
        ("model.norm.weight", "nan", r"model\.norm\.weight in .* holds NaN or infinity"),
        ("model.embed_tokens.weight", "inf", r"model\.embed_tokens\.weight in .* holds NaN or infinity"),
    ],
)
def test_a_broken_weight_fails_by_name(
    bench: Bench, tmp_path: Path, tensor: str, value: str, sentence: str
) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "poisoned"
    shutil.copytree(bench.model, folder)
    weights = tensors(folder)
    weights[tensor].view(-1)[5] = float(value)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    out = tmp_path / "out"
    with pytest.raises(FaqError, match=sentence):
        bench.here(bench.spec("broken", model=str(folder), out=str(out)))
    assert not is_whole(out)


def test_an_error_in_a_thread_of_gptqmodel_comes_out_as_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left as it is, gptqmodel would end this process with os._exit(1)."""
    from faq_tui.core.models.gptqmodel_env import import_gptqmodel

    import_gptqmodel()
    from gptqmodel.quantization import GPTQ

    def quantize(*_: Any, **__: Any) -> None:
        raise MemoryError("no room for the Hessian")

    monkeypatch.setattr(GPTQ, "quantize", quantize)
    with pytest.raises(MemoryError, match="no room"):
        bench.here(bench.spec("memory"))


# --- what it refuses beforehand ---


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"group_size": 256},
            r"group_size 256 does not divide the 128 input features of model\.layers\.0\.mlp\.gate_proj",
        ),
        ({"group_size": 48}, "gptq has no group_size 48: choose one of -1, 16, 32"),
        ({"bits": 5}, "gptq does not write 5 bits: choose one of 4, 8"),
        ({"method": "magic"}, "there is no quantization method 'magic'"),
        ({"rows": "/nonexistent/rows.jsonl"}, "assemble the calibration set first"),
        ({"model": "/nonexistent/model"}, "neither a folder nor a hub id"),
    ],
)
def test_bad_orders_are_refused(bench: Bench, changes: dict[str, Any], sentence: str) -> None:
    spec = bench.spec("refused", **changes)
    with pytest.raises(UsageError, match=sentence):
        bench.here(spec)
    assert not Path(spec["out"]).exists()


def test_the_group_sizes_that_fit_are_named() -> None:
    shapes = {"a.q_proj": (64, 576), "a.down_proj": (576, 1536)}
    check.check_group_size(shapes, 64)
    check.check_group_size(shapes, -1)
    with pytest.raises(UsageError, match=r"576 input features of a\.q_proj: choose one of -1, 16, 32, 64$"):
        check.check_group_size(shapes, 128)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "the calibration set is empty"),
        ([[1] * 11, [1] * 10], "calibration row 2 has only 10 tokens"),
        ([[1] * 20 + [512]], "calibration row 1 has token id 512, but the target's last is 511"),
        ([[1] * 20 + [-1]], "token id -1"),
    ],
)
def test_rows_that_gptqmodel_would_take_amiss(rows: list[list[int]], sentence: str) -> None:
    check.check_rows([[0] * 11, [511] * 11], 512)
    with pytest.raises(UsageError, match=sentence):
        check.check_rows(rows, 512)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"text": "x"}', "line 2 has no input_ids"),
        ("{", "line 2 has no input_ids"),
        ('{"input_ids": ["a"]}', "line 2: input_ids is no list of integers"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"input_ids": [1, 2]}}\n{line}\n')
    with pytest.raises(UsageError, match=sentence):
        check.read_rows(path)


def test_targets_that_are_none(bench: Bench, artefacts: dict[int, Artefact], tmp_path: Path) -> None:
    assert check.check_target(bench.model)["model_type"] == "llama"
    check.check_chat_template(bench.model)
    with pytest.raises(UsageError, match="quantized already"):
        check.check_target(artefacts[4].folder)
    with pytest.raises(UsageError, match="cannot be read"):
        check.check_target(tmp_path)
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"], "model_type": "bert"}')
    with pytest.raises(UsageError, match=r"no causal language model .architecture BertModel."):
        check.check_target(tmp_path)
    with pytest.raises(UsageError, match="no chat template"):
        check.check_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    check.check_chat_template(tmp_path)
    with pytest.raises(UsageError, match=r"no \*\.safetensors files"):
        linear_shapes(tmp_path)


def test_memory(bench: Bench) -> None:
    check.check_memory(1)
    with pytest.raises(FaqError, match=r"needs about 1048576\.0 GiB, \d+\.\d GiB free"):
        check.check_memory(1 << 50)
    need = task.memory_needed(bench.model, 50, 400)
    assert task.memory_needed(bench.model, 50, 400_000) > need + 2 * 2 * 128 * 390_000


# --- the small parts ---


@pytest.mark.parametrize(
    ("text", "value", "broken"),
    [
        ("0.0027717844", 0.0027717844, False),
        ("0.0000000000", 0.0, False),
        ("fallback(rtn): 0.0123000", None, False),  # a rarely routed expert
        ("fallback(rtn): nan", None, True),
        ("rtn fallback", None, True),
        ("999999999", None, True),
        ("999999999.0000000000", None, True),
        ("nan", None, True),
        ("inf", None, True),
        ("unknown", None, True),
    ],
)
def test_losses(text: str, value: float | None, broken: bool) -> None:
    loss = read_loss(text)
    assert loss.value == value and bool(loss.broken) is broken
    assert (loss.note != "") is (value is None)


def test_nothing_escapes_into_the_threads_of_gptqmodel() -> None:
    def send(kind: str, **body: Any) -> None:
        raise BrokenPipeError("the parent is gone")

    progress = Progress(send, CancelToken())
    progress.layer_done(0)
    progress.module_done({"layer": "no number"})
    assert progress.should_stop
    with pytest.raises(BrokenPipeError):
        progress.check()


def test_average_bits_by_hand() -> None:
    assert average_bits(3, 128, [(7, 1024)]) == pytest.approx(3.15, abs=0.002)  # as the GPTQ paper has it
    assert average_bits(4, -1, [(5, 100)]) == 4 + 20 / 100
    assert (
        average_bits(4, 64, [(1, 64), (1, 96)]) == (160 * 4 + 3 * 20) / 160
    )  # a short group costs a whole one


def test_a_manifest_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    (tmp_path / "faq_manifest.json").write_text('{"half": ')
    assert not is_whole(tmp_path)
    write_manifest(tmp_path, {"artefact": "é"})
    manifest = read_manifest(tmp_path)
    assert manifest is not None and manifest["artefact"] == "é" and "python" in manifest["versions"]
    assert [path.name for path in tmp_path.iterdir()] == ["faq_manifest.json"]
