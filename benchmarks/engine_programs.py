"""Plain scripts that quantize with GPTQModel and with llm-compressor, as in the documentation of these libraries."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watched import Watched

# GPTQModel calls `layer_callback` at the end of each layer, and `subset_callback` before each group of modules.
GPTQMODEL = """
import json, os, sys
job = json.loads(sys.argv[1])
os.environ.setdefault("GPTQMODEL_OFFLINE", "1")  # without it, GPTQModel downloads a library on a Hopper GPU
if job["device"] == "cpu":
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    os.environ.setdefault("GPTQMODEL_DISABLE_PACK_EXT", "1")
import gptqmodel
rows = [json.loads(line)["input_ids"] for line in open(job["rows"])]
config = gptqmodel.GPTQConfig(bits=4, group_size=job["group"], offload_to_disk_path=job["out"] + "-offload")
model = gptqmodel.GPTQModel.load(job["model"], config, device=job["device"], backend="gptq_torch")
begun = set()
def before(*, layer_idx, **_):
    if layer_idx not in begun:
        begun.add(layer_idx)
        print(f"@layer {layer_idx}", flush=True)
model.subset_callback = before
model.quantize(rows, batch_size=1)
print("@saving", flush=True)
model.save(job["out"])
sys.stdout.flush()
os._exit(0)
"""
LLM_COMPRESSOR = """
import json, sys
import torch
from torch.utils.data import DataLoader
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from transformers import AutoModelForCausalLM, AutoTokenizer
job = json.loads(sys.argv[1])
rows = [json.loads(line)["input_ids"] for line in open(job["rows"])]
model = AutoModelForCausalLM.from_pretrained(job["model"], dtype="auto")
size = (1, len(rows[0]))
batches = [{"input_ids": torch.tensor([row]), "attention_mask": torch.ones(size, dtype=torch.long)} for row in rows]
ignore = ["lm_head", "re:.*mlp.gate$"] if job["mixture"] else ["lm_head"]
if job["group"] == 128:
    recipe = GPTQModifier(targets="Linear", scheme="W4A16", ignore=ignore)
else:
    weights = dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=job["group"])
    recipe = GPTQModifier(config_groups={"group_0": dict(targets=["Linear"], weights=weights)}, ignore=ignore)
oneshot(model=model, processor=AutoTokenizer.from_pretrained(job["model"]),
        dataset=DataLoader(batches, batch_size=None), recipe=recipe, max_seq_length=len(rows[0]),
        num_calibration_samples=len(rows), output_dir=job["out"])
"""


@dataclass(frozen=True)
class Program:
    """A script, and the patterns in its output. `layer` has one match per layer, when the layer begins."""

    source: str
    layer: re.Pattern[str]
    saving: re.Pattern[str]
    parts_before: int = 0  # matches of `layer` that are not layers and come first


PROGRAMS = {
    "gptqmodel": Program(GPTQMODEL, re.compile(r"@layer (\d+)"), re.compile("@saving")),
    # llm-compressor cuts the model into parts: the embedding with the first layer's attention inputs, then each layer
    "llm-compressor": Program(
        LLM_COMPRESSOR, re.compile(r"\((\d+)/\d+\): Calibrating"), re.compile("lifecycle finalized"), parts_before=1
    ),
}


def run_program(program: Program, job: Mapping[str, Any], path: str, log: Path, limit: float) -> Watched:
    """Run a script until its end, at most for `limit` seconds. `path` is the PYTHONPATH, unless it is empty."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if path:
        environment["PYTHONPATH"] = path
    text = json.dumps({key: str(value) if isinstance(value, Path) else value for key, value in job.items()})
    seen = Watched("cuda" if job["device"] == "cuda" else "cpu", limit)
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program.source, text],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output, read, parts, saving = "", 0, set[int](), False
    os.set_blocking(process.stdout.fileno(), False)
    while not seen.cancel.wait(0.05):
        with suppress(BlockingIOError):
            chunk = os.read(process.stdout.fileno(), 1 << 20)
            if not chunk:
                break
            output += chunk.decode(errors="replace")
        fresh = output[max(0, read - 100) :]  # a pattern may begin in the text that was read before
        read = len(output)
        for found in program.layer.finditer(fresh):
            if (part := int(found[1])) not in parts:
                parts.add(part)
                if len(parts) > program.parts_before:
                    seen.layer()
        if not saving and program.saving.search(fresh):
            saving = True
            seen.saving()
    if seen.cancel.is_set:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        seen.note = f"ended after {limit:.0f} s"
    code = process.wait()
    seen.end(code == 0)
    if code and not seen.note:
        seen.note = f"ended with code {code}: {output.strip().rpartition(chr(10))[2][-120:]}"
    log.write_text(output[-100_000:], encoding="utf-8")
    return seen
