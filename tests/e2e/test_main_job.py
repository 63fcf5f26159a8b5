"""The demo, finished: what a run of the real small model holds. The checks are independent computations."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.embedded import EmbeddedModel
from faq_tui.core.evaluation.texts import pydoc_prose
from tests.support.schemas import valid
from tests.support.shell import faq_tui

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # the first test may have to make the demo

ARTEFACT, SET, PROSE = "gptq-w4g64-self-tokens", "self-tokens", "pydoc"
WINDOW, PROSE_TOKENS = 256, 3072  # `window` and `prose_tokens` of the demo's settings


def samples_of(run: Path, name: str) -> list[dict[str, Any]]:
    with (run / "calibration" / f"{name}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_every_stage_is_done_and_a_second_run_does_nothing(demo_copy: Path) -> None:
    status = json.loads(faq_tui("status", demo_copy, "--json").out)
    assert {stage["state"] for stage in status["stages"]} == {"done"}
    before = {path: path.stat().st_mtime_ns for path in (demo_copy / "models").rglob("*.safetensors")}
    again = faq_tui("run", demo_copy, "--json")
    events = [json.loads(line)["event"] for line in again.out.splitlines()]
    assert events == ["StageSkipped"] * len(status["stages"])
    assert before and before == {path: path.stat().st_mtime_ns for path in before}


def test_events_tell_of_every_layer_and_module(demo_copy: Path) -> None:
    recorded = min((demo_copy / "jobs").glob("*/events.jsonl")).read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in recorded]
    modules = {(e["layer"], e["module"]) for e in events if e["event"] == "ModuleQuantized"}
    assert len(modules) == 30 * 7
    assert all(e["loss"] is not None for e in events if e["event"] == "ModuleQuantized")


def test_ids_decode_to_the_templated_conversation(demo_copy: Path, embedded_model: EmbeddedModel) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
    db = sqlite3.connect(demo_copy / "faq.db")
    samples = samples_of(demo_copy, SET)
    assert samples
    for sample in samples:
        query = (
            "SELECT s.messages, c.reasoning, c.answer FROM candidates c JOIN seeds s ON s.id = c.seed_id"
            " WHERE c.id = ?"
        )
        messages, reasoning, answer = db.execute(query, (sample["candidate_id"],)).fetchone()
        said = f"{reasoning}\n\n{answer}" if reasoning else answer
        conversation = [*json.loads(messages), {"role": "assistant", "content": said}]
        rendered = tokenizer.apply_chat_template(conversation, tokenize=False)
        assert sample["text"] == rendered == tokenizer.decode(sample["input_ids"])
        assert sample["input_ids"] == tokenizer(rendered, add_special_tokens=False)["input_ids"]
        assert sample["n_tokens"] == sample["n_tokens_full"] == len(sample["input_ids"])


def test_the_very_ids_reach_layer_0(demo_copy: Path, embedded_model: EmbeddedModel) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(embedded_model.folder, dtype=torch.float32)
    table = model.get_input_embeddings().weight
    seen: list[torch.Tensor] = []
    model.model.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for sample in samples_of(demo_copy, SET)[:2]:
        with torch.no_grad():
            model(input_ids=torch.tensor([sample["input_ids"]]), logits_to_keep=1)
        nearest = torch.cdist(seen[-1][0].detach(), table.detach()).argmin(dim=1)
        assert nearest.tolist() == sample["input_ids"]


PLAIN = """
import json, math, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTQConfig
folder, prose, window, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
how = GPTQConfig(bits=4, backend="gptq_torch")
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=how).eval()
ids = AutoTokenizer.from_pretrained(folder)(open(prose).read())["input_ids"][:tokens]
nll, count = 0.0, 0
with torch.inference_mode():
    for start in range(0, len(ids), window):
        row = torch.tensor([ids[start : start + window]])
        logits = model(row).logits[0, :-1].float()
        nll += torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum").item()
        count += row.shape[1] - 1
print(json.dumps({"ppl": math.exp(nll / count), "ours": any(m.startswith("faq_tui") for m in sys.modules)}))
"""


def test_plain_transformers_loads_the_folder_and_finds_the_reports_perplexity(
    demo_copy: Path, tmp_path: Path
) -> None:
    prose = tmp_path / "prose.txt"
    prose.write_text(pydoc_prose(), encoding="utf-8")
    arguments = [demo_copy / "models" / ARTEFACT, prose, WINDOW, PROSE_TOKENS]
    # Without this gptqmodel's torch kernel compiles itself for a minute, to the same numbers.
    env = {**os.environ, "TORCHDYNAMO_DISABLE": "1", "GPTQMODEL_CPU_WORKERS": "2", "GPTQMODEL_DISABLE_PACK_EXT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path, env=env
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["ours"]
    report = json.loads(faq_tui("report", demo_copy, "--format", "json").out)
    ours = next(row for row in perplexities(report) if row["subject"] == ARTEFACT and row["text"] == PROSE)
    assert f"{found['ppl']:.3g}" == f"{ours['value']:.3g}" or found["ppl"] == pytest.approx(ours["value"], rel=5e-4)


def test_the_report_validates_and_its_file_says_the_same(demo: Path, demo_copy: Path) -> None:
    """The files were written before the run was copied, so their commands name the folder of the demo."""

    def written(name: str) -> str:
        return (demo_copy / "reports" / name).read_text(encoding="utf-8").replace(str(demo), str(demo_copy))

    printed = json.loads(faq_tui("report", demo_copy, "--format", "json").out)
    valid("report", printed)
    assert printed == json.loads(written("report.json"))
    page = written("report.md")
    assert faq_tui("report", demo_copy).out.strip() == page.strip()


def perplexities(report: dict[str, Any]) -> list[dict[str, Any]]:
    """{subject, text, value} of every perplexity in report.json."""
    found = []
    for model in report["models"]:
        for text, metrics in model["texts"].items():
            if "perplexity" in metrics:
                found.append({"subject": model["name"], "text": text, "value": metrics["perplexity"]["value"]})
    return found


def test_the_manifest_says_what_it_was_made_of(demo_copy: Path) -> None:
    manifest = json.loads((demo_copy / "models" / ARTEFACT / "faq_manifest.json").read_text(encoding="utf-8"))
    samples = samples_of(demo_copy, SET)
    assert manifest["calibration"]["set"] == SET
    assert manifest["calibration"]["judge"]["weights"] == {"likelihood": 1.0}
    assert manifest["tokens"] == sum(sample["n_tokens"] for sample in samples)
    assert manifest["recipe"]["bits"] == 4
    assert manifest["versions"]["gptqmodel"]
    assert len(manifest["losses"]) == 30 * 7


def test_a_persons_pick_is_followed_by_the_set(demo_copy: Path, tmp_path: Path) -> None:
    run = tmp_path / "copy"
    shutil.copytree(demo_copy, run, ignore=shutil.ignore_patterns("models"))
    db = sqlite3.connect(run / "faq.db")
    chosen = {sample["seed_id"]: sample["candidate_id"] for sample in samples_of(run, SET)}
    query = "SELECT seed_id, number, id FROM candidates WHERE flags = '[]'"
    other = next(row for row in db.execute(query) if row[0] in chosen and row[2] != chosen[row[0]])
    db.close()
    assert faq_tui("pick", run, other[0], str(other[1]), "--reason", "clearer").code == 0
    states = {s["stage"]: s["state"] for s in json.loads(faq_tui("status", run, "--json").out)["stages"]}
    assert (states["regenerate"], states["judge"], states["assemble"]) == ("done", "done", "stale")
    assert faq_tui("run", run, "--until", "assemble").code == 0
    sample = next(s for s in samples_of(run, SET) if s["seed_id"] == other[0])
    assert (sample["candidate_id"], sample["picked_by"]) == (other[2], "person")
