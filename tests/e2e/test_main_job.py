"""The main job on the real small model, over a real server's URL, and what stands in the run afterwards.

Everything goes through the command; the checks are independent computations.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer
from faq_tui.core.seeds.read import starter_path
from tests.support.paths import SCHEMAS
from tests.support.shell import faq_tui, faq_tui_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a few minutes alone, many beside other work

WINDOW, PROSE_TOKENS = 96, 960
ARTEFACT = "gptq-w4g64-elder"

SETTINGS = """
[target]
model = "{target}"
[seeds]
path = "my-seeds.jsonl"
count = 8
heldout = 2
[sources.elder]
base_url = "{url}"
model = "SmolLM2-135M-Instruct"
candidates = 2
concurrency = 4
reasoning = "prompted"
sampling = {{ temperature = 0.7, top_p = 0.9, top_k = 40, min_p = 0.05, max_tokens = 128 }}
on_truncated = "drop"
on_flagged = "drop"
[judge]
kind = "likelihood"
[assemble]
max_tokens = 256
[[recipes]]
method = "gptq"
bits = 4
group_size = 64
sets = ["elder"]
[evaluate]
perplexity = ["prose.txt"]
window = {window}
prose_tokens = {tokens}
answer_tokens = 24
items = 6
[activations]
tokens = 512
"""


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, embedded_model: EmbeddedModel, embedded_server: EmbeddedServer
) -> Path:
    """A run of one's own: own seeds, a local folder as target, the server as a remote endpoint."""
    run = tmp_path_factory.mktemp("run")
    lines = starter_path().read_text(encoding="utf-8").splitlines()
    (run / "my-seeds.jsonl").write_text("\n".join(lines[::21][:12]) + "\n", encoding="utf-8")
    (run / "prose.txt").write_text((Path(json.__file__).parent.parent / "LICENSE.txt").read_text(encoding="utf-8"))
    text = SETTINGS.format(
        target=embedded_model.folder, url=embedded_server.base_url, window=WINDOW, tokens=PROSE_TOKENS
    )
    (run / "faq.toml").write_text(text, encoding="utf-8")
    done = faq_tui_process("run", run, "--json", timeout=1500)
    assert done.code == 0, done.err
    (run / "stdout.jsonl").write_text(done.out, encoding="utf-8")
    return run


def samples_of(run: Path, name: str) -> list[dict[str, Any]]:
    with (run / "calibration" / f"{name}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_every_stage_is_done_and_a_second_run_does_nothing(finished: Path) -> None:
    status = json.loads(faq_tui("status", finished, "--json").out)
    assert {stage["state"] for stage in status["stages"]} == {"done"}
    before = {path: path.stat().st_mtime_ns for path in (finished / "models").rglob("*.safetensors")}
    again = faq_tui_process("run", finished, "--json")
    events = [json.loads(line)["event"] for line in again.out.splitlines()]
    assert events == ["StageSkipped"] * len(status["stages"])
    assert before and before == {path: path.stat().st_mtime_ns for path in before}


def test_events_tell_of_every_layer_and_module(finished: Path) -> None:
    events = [json.loads(line) for line in (finished / "stdout.jsonl").read_text(encoding="utf-8").splitlines()]
    modules = {(e["layer"], e["module"]) for e in events if e["event"] == "ModuleQuantized"}
    assert len(modules) == 30 * 7
    assert all(e["loss"] is not None for e in events if e["event"] == "ModuleQuantized")
    recorded = min((finished / "jobs").glob("*/events.jsonl")).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in recorded] == [e["event"] for e in events]


def test_ids_decode_to_the_templated_conversation(finished: Path, embedded_model: EmbeddedModel) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
    db = sqlite3.connect(finished / "faq.db")
    samples = samples_of(finished, "elder")
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


def test_the_very_ids_reach_layer_0(finished: Path, embedded_model: EmbeddedModel) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(embedded_model.folder, dtype=torch.float32)
    table = model.get_input_embeddings().weight
    seen: list[torch.Tensor] = []
    model.model.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for sample in samples_of(finished, "elder")[:2]:
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


def test_plain_transformers_loads_the_folder_and_finds_the_reports_perplexity(finished: Path, tmp_path: Path) -> None:
    arguments = [finished / "models" / ARTEFACT, finished / "prose.txt", WINDOW, PROSE_TOKENS]
    # Without this gptqmodel's torch kernel compiles itself for a minute, to the same numbers.
    env = {**os.environ, "TORCHDYNAMO_DISABLE": "1", "GPTQMODEL_CPU_WORKERS": "2", "GPTQMODEL_DISABLE_PACK_EXT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path, env=env
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["ours"]
    report = json.loads(faq_tui("report", finished, "--format", "json").out)
    ours = next(row for row in perplexities(report) if row["subject"] == ARTEFACT and row["text"] == "prose.txt")
    assert f"{found['ppl']:.3g}" == f"{ours['value']:.3g}" or found["ppl"] == pytest.approx(ours["value"], rel=5e-4)


def test_the_report_validates_and_its_file_says_the_same(finished: Path) -> None:
    printed = json.loads(faq_tui("report", finished, "--format", "json").out)
    schema = json.loads((SCHEMAS / "report.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(printed)
    assert printed == json.loads((finished / "reports" / "report.json").read_text(encoding="utf-8"))
    page = (finished / "reports" / "report.md").read_text(encoding="utf-8")
    assert faq_tui("report", finished).out.strip() == page.strip()


def perplexities(report: dict[str, Any]) -> list[dict[str, Any]]:
    """{subject, text, value} of every perplexity in report.json."""
    found = []
    for model in report["models"]:
        for text, metrics in model["texts"].items():
            if "perplexity" in metrics:
                found.append({"subject": model["name"], "text": text, "value": metrics["perplexity"]["value"]})
    return found


def test_the_manifest_says_what_it_was_made_of(finished: Path) -> None:
    manifest = json.loads((finished / "models" / ARTEFACT / "faq_manifest.json").read_text(encoding="utf-8"))
    samples = samples_of(finished, "elder")
    assert manifest["calibration"]["set"] == "elder"
    assert manifest["calibration"]["judge"]["weights"] == {"likelihood": 1.0}
    assert manifest["tokens"] == sum(sample["n_tokens"] for sample in samples)
    assert manifest["recipe"]["bits"] == 4
    assert manifest["versions"]["gptqmodel"]
    assert len(manifest["losses"]) == 30 * 7


def test_a_persons_pick_is_followed_by_the_set(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "copy"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("models"))
    db = sqlite3.connect(run / "faq.db")
    chosen = {sample["seed_id"]: sample["candidate_id"] for sample in samples_of(run, "elder")}
    query = "SELECT seed_id, number, id FROM candidates WHERE flags = '[]'"
    other = next(row for row in db.execute(query) if row[0] in chosen and row[2] != chosen[row[0]])
    db.close()
    assert faq_tui("pick", run, other[0], str(other[1]), "--reason", "clearer").code == 0
    states = {s["stage"]: s["state"] for s in json.loads(faq_tui("status", run, "--json").out)["stages"]}
    assert (states["regenerate"], states["judge"], states["assemble"]) == ("done", "done", "stale")
    assert faq_tui_process("run", run, "--until", "assemble").code == 0
    sample = next(s for s in samples_of(run, "elder") if s["seed_id"] == other[0])
    assert (sample["candidate_id"], sample["picked_by"]) == (other[2], "person")
