"""Every method through `faq-tui run` on a tiny target, and by plain transformers afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.shell import events, faq_tui
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

SETTINGS = """
[target]
model = "target"
[seeds]
path = "seeds.txt"
count = 16
heldout = 2
[assemble]
max_tokens = 64
{recipes}
[evaluate]
perplexity = ["seeds.txt"]
window = 32
prose_tokens = 128
answer_tokens = 4
last_word = []
multiple_choice = []
[activations]
enabled = {activations}
"""
GRID = """
[[recipes]]
method = ["gptq", "gptaq", "awq", "spqr"]
group_size = 64
[[recipes]]
method = "w8a8"
"""
NAMES = [f"{method}-w4g64-baseline" for method in ("gptq", "gptaq", "awq", "spqr")] + ["w8a8-w8gc-baseline"]


def make_run(folder: Path, recipes: str = GRID, activations: bool = False, **target: Any) -> Path:
    make_tiny_model(folder / "target", layers=2, **target)
    lines = [f"Question {n}: which of the {n + 3} boxes is heavier, and by how much?" for n in range(24)]
    (folder / "seeds.txt").write_text("\n".join(lines), encoding="utf-8")
    settings = SETTINGS.format(recipes=recipes, activations=str(activations).lower())
    (folder / "faq.toml").write_text(settings, encoding="utf-8")
    return folder


def manifest(run: Path, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((run / "models" / name / "faq_manifest.json").read_text(encoding="utf-8"))
    return body


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("every") / "run")
    done = faq_tui("run", run, "--json")
    assert done.code == 0, done.err[-3000:]
    (run / "said.jsonl").write_text(done.out, encoding="utf-8")
    return run


def test_the_grid_of_two_lines_is_made_measured_and_served(made: Path) -> None:
    assert sorted(path.name for path in (made / "models").iterdir()) == sorted(NAMES)
    said = [json.loads(line) for line in (made / "said.jsonl").read_text(encoding="utf-8").splitlines()]
    served = [event["message"] for event in said if event["event"] == "Note" and "vllm serve" in event["message"]]
    assert len(served) == len(NAMES)
    report = json.loads(faq_tui("report", made, "--format", "json").out)
    kl = {model["name"]: model["texts"]["answers"]["kl"]["value"] for model in report["models"]}
    assert set(kl) == {"unquantized", *NAMES}
    assert 0 < kl["w8a8-w8gc-baseline"] < min(kl[name] for name in NAMES[:4]) < 1.0


def test_a_run_that_reads_layer_by_layer_finds_the_same_figures(made: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", '[[recipes]]\nmethod = "w8a8"\n', activations=True)
    text = (run / "faq.toml").read_text(encoding="utf-8")
    text = text.replace("[target]\n", '[target]\nread = "layers"\n').replace("answer_tokens = 4", "answers = []")
    (run / "faq.toml").write_text(text, encoding="utf-8")
    done = faq_tui("run", run)
    assert done.code == 0 and (run / "activations").is_dir(), done.err[-3000:]
    layers, whole = figures(run), figures(made)
    assert len(layers) >= 4 and {name for name, *_ in layers} == {"unquantized", NAMES[-1]}
    assert layers == pytest.approx({key: whole[key] for key in layers}, rel=1e-3, abs=1e-6)
    weights = [sorted((folder / "models" / NAMES[-1]).glob("*.safetensors")) for folder in (run, made)]
    assert weights[0] and [path.read_bytes() for path in weights[0]] == [path.read_bytes() for path in weights[1]]


def figures(run: Path) -> dict[tuple[str, str, str], float]:
    """Each value in the report, by model, text and metric."""
    report = json.loads(faq_tui("report", run, "--format", "json").out)
    return {
        (model["name"], text, metric): value["value"]
        for model in report["models"]
        for text, values in model["texts"].items()
        for metric, value in values.items()
        if isinstance(value, dict) and "value" in value
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_says_how_it_was_made(made: Path, name: str) -> None:
    body = manifest(made, name)
    assert body["recipe"]["method"] == name.split("-")[0] and body["calibration"]["set"] == "baseline"
    assert body["serve"]["vllm"] == f"vllm serve models/{name}"
    assert len(body["losses"]) == 2 * 7 and body["average_bits"] > body["recipe"]["bits"]
    for entry in body["losses"]:
        assert entry["samples"] == body["tokens"] and entry["seconds"] >= 0
        assert entry["loss"] is not None or (name.startswith("awq") and entry["module"] == "self_attn.o_proj")
    if name.startswith("spqr"):
        assert "saves no memory and no time" in body["export"] and 0 <= body["outlier_share"] < 0.1
        sidecar = made / "models" / name / "spqr"
        assert [path.name for path in sorted(sidecar.iterdir())] == [
            "layer-00000.safetensors",
            "layer-00001.safetensors",
        ]


def test_the_sidecar_of_spqr_decodes_to_the_folder(made: Path) -> None:
    from safetensors.torch import load_file

    from faq_tui.core.quantizing.methods.spqr.matrix import Knobs
    from faq_tui.core.quantizing.methods.spqr.sidecar import from_tensors

    folder = made / "models" / "spqr-w4g64-baseline"
    dense = load_file(folder / "model.safetensors")
    for layer in range(2):
        codes = load_file(folder / "spqr" / f"layer-{layer:05}.safetensors")
        for name in {key.rpartition(".")[0] for key in codes}:
            weight = dense[f"{name}.weight"]
            import torch

            assert torch.equal(from_tensors(name, codes, Knobs(4, 64), weight.dtype), weight)


# Who can load it, and by which kernel: those that need no compiler.
LOADERS: dict[str, list[tuple[str, str | None]]] = {
    "gptq": [("transformers", "gptq_torch_aten"), ("gptqmodel", "gptq_torch_aten")],
    "gptaq": [("transformers", "gptq_torch_aten"), ("gptqmodel", "gptq_torch_aten")],
    "awq": [("transformers", "torch_awq"), ("gptqmodel", "awq_torch_aten")],
    "spqr": [("transformers", None)],
    "w8a8": [("transformers", None)],
}
PLAIN = """
import json, sys, torch
from transformers import AutoModelForCausalLM
job, logits = json.load(sys.stdin), {}
for name, (folder, loader, backend) in job["folders"].items():
    options, dtype = {}, "float32" if name.startswith("w8a8") else "bfloat16"
    if loader == "gptqmodel":
        from gptqmodel import GPTQModel
        model = GPTQModel.load(folder, device="cpu", backend=backend).model
    else:
        if backend:
            from transformers import AwqConfig, GPTQConfig
            kind = AwqConfig if backend.endswith("awq") else GPTQConfig
            options["quantization_config"] = kind(bits=4, backend=backend)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), device_map="cpu", **options)
    with torch.inference_mode():
        logits[name] = model(torch.tensor(job["ids"])).logits.float()
assert not [name for name in sys.modules if name.startswith("faq_tui")]
torch.save(logits, job["out"])
"""


def as_compressed_tensors_rounds(inputs: Any) -> Any:
    """To 256 levels, where vLLM, and so our evaluation, has 255: all else must be the same."""
    scale = inputs.abs().amax(-1, keepdim=True) / 127.5
    return (inputs / scale).round().clamp(-128, 127) * scale


def test_plain_loaders_see_what_the_evaluation_saw(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.quantizing.methods.w8a8 import format as w8a8_format

    loaders = [(name, loader, backend) for name in NAMES for loader, backend in LOADERS[name.split("-")[0]]]
    ids = [list(range(5, 45)), list(range(100, 140))]
    job = {
        "folders": {
            f"{name} {loader}": (str(made / "models" / name), loader, backend) for name, loader, backend in loaders
        },
        "ids": ids,
        "out": str(tmp_path / "logits.pt"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PLAIN],
        input=json.dumps(job),
        env={**os.environ, "GPTQMODEL_CPU_WORKERS": "2", "GPTQMODEL_DISABLE_PACK_EXT": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = torch.load(job["out"])
    monkeypatch.setattr(w8a8_format, "rounded_per_token", as_compressed_tensors_rounds)
    with torch.inference_mode():
        target = load_dense(made / "target", torch.bfloat16, "cpu")(torch.tensor(ids)).logits.float()
        for name, loader, _ in loaders:
            dtype, given = torch.float32 if name.startswith("w8a8") else torch.bfloat16, theirs[f"{name} {loader}"]
            ours = load_dense(made / "models" / name, dtype, "cpu")(torch.tensor(ids)).logits.float()
            apart, lost = (ours - given).abs().mean(), (ours - target).abs().mean()
            assert apart < 0.03 * ours.std(), (name, loader, apart, ours.std())
            assert apart < lost / 2, (name, loader, apart, lost)
            if name.startswith("spqr"):
                assert torch.equal(ours, given)


@pytest.mark.parametrize("method", ["spqr", "w8a8"])
def test_a_rerun_gives_the_same_bits(made: Path, tmp_path: Path, method: str) -> None:
    name = next(name for name in NAMES if name.startswith(method))
    copy = tmp_path / "run"
    shutil.copytree(made, copy)
    shutil.rmtree(copy / "models" / name)
    done = faq_tui("run", copy, "--until", "quantize")
    assert done.code == 0, done.err
    for path in sorted((made / "models" / name).rglob("*.safetensors")):
        assert path.read_bytes() == (copy / path.relative_to(made)).read_bytes()


# --- what goes wrong ---


def tried(run: Path) -> list[str]:
    return [path.name for path in (run / "models").iterdir()] if (run / "models").is_dir() else []


def test_a_nan_fails_by_name_and_the_queue_goes_on(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    recipes = '[[recipes]]\nmethod = ["spqr", "gptq", "gptaq", "awq"]\ngroup_size = 64\n[[recipes]]\nmethod = "w8a8"'
    run = make_run(tmp_path, recipes, activations=True)
    assert faq_tui("run", run, "--until", "assemble").code == 0
    weights = load_file(run / "target" / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 3] = float("nan")
    save_file(weights, run / "target" / "model.safetensors", {"format": "pt"})
    done = faq_tui("run", run, "--json", "--until", "quantize")
    assert done.code == 1 and tried(run) == []
    said = [event["message"] for event in events(done) if event["event"] in ("Note", "StageFailed")]
    for method in ("spqr", "gptq", "gptaq", "awq", "w8a8"):
        assert any(f"{method}-w" in text and "layer 1 mlp.up_proj failed" in text for text in said), said
    assert "5 of 5 artefacts failed" in said[-1]


def test_a_full_disk_is_one_sentence_for_each_method(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: the write fails at the same place."""
    run = make_run(tmp_path)
    assert faq_tui("run", run, "--until", "assemble").code == 0
    limit = 'ulimit -f 100; exec "$@"'  # kilobytes: no weights fit
    command = ["bash", "-c", limit, "bash", sys.executable, "-m", "faq_tui", "run", str(run), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert tried(run) == []
    said = [json.loads(line) for line in done.stdout.splitlines()]
    notes = [event["message"] for event in said if event["event"] == "Note"]
    for name in NAMES:
        assert any(note.startswith(f"{name}: no space left while writing ") for note in notes), (name, notes)


def test_one_recipe_fails_and_the_others_are_made(tmp_path: Path) -> None:
    run = make_run(tmp_path, '[[recipes]]\nmethod = "spqr"\ngroup_size = 64\n[[recipes]]\nmethod = "w8a8"')
    assert faq_tui("run", run, "--until", "assemble").code == 0
    limit = 'ulimit -f 600; exec "$@"'  # kilobytes: the dense artefact does not fit, the INT8 one does
    command = ["bash", "-c", limit, "bash", sys.executable, "-m", "faq_tui", "run", str(run), "--until", "quantize"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert tried(run) == ["w8a8-w8gc-baseline"]
    assert done.stderr.splitlines()[-1].startswith("faq-tui: spqr-w4g64-baseline: no space left while writing ")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "the calibration set is empty"),
        ([list(range(12))], "the calibration set has only 12 tokens in 1 row: give more seeds"),
    ],
)
@pytest.mark.parametrize("method", ["gptq", "gptaq", "awq", "spqr", "w8a8"])
def test_sets_too_small_for_any_quantizer(tmp_path: Path, rows: list[list[int]], sentence: str, method: str) -> None:
    from faq_tui.core.base.cancel import CancelToken
    from faq_tui.core.base.errors import UsageError
    from faq_tui.core.quantizing import task

    target = make_tiny_model(tmp_path / "target", layers=1)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    width = {"bits": 8, "group_size": -1} if method == "w8a8" else {"bits": 4, "group_size": 64}
    spec = {"artefact": "x", "model": str(target), "recipe": {"method": method, **width}}
    with pytest.raises(UsageError, match=sentence):
        task.run({**spec, "rows": str(path), "out": str(tmp_path / "out")}, lambda *_, **__: None, CancelToken())
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_chat_template(tmp_path: Path) -> None:
    run = make_run(tmp_path, '[[recipes]]\nmethod = "spqr"\ngroup_size = 64', chat_template=False)
    done = faq_tui("run", run)
    assert done.code == 2 and tried(run) == []
    assert "has no chat template" in done.err.splitlines()[-1]
