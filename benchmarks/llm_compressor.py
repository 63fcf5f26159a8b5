"""Measure llm-compressor's GPTQ on the models and rows of `cuda_scale.py`: seconds per layer and peak memory.

    python benchmarks/llm_compressor.py [--path PYTHONPATH] [--out FOLDER] [--only qwen3-8b,qwen3-30b-a3b]
                                        [--layers 2] [--rows 256] [--tokens 2048] [--device cuda] [--tiny]

llm-compressor pins other versions of transformers than GPTQModel, so it runs with the given PYTHONPATH, in a process
for each model. The recipe is the one in llm-compressor's documentation: `oneshot` with `GPTQModifier`, the scheme
W4A16 (groups of 128), all Linear modules except lm_head, and for mixtures also except the routers. llm-compressor
cuts the model into one part for the embedding and one part per layer. The time of a part begins when its progress bar
appears. The time ends when the progress bar of the next part appears, or when all parts are finished. `--tiny` is for
a test on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from machine import table
from shapes import MODELS, TINY, make_model, make_rows

BAR = re.compile(r"\((\d+)/(\d+)\): Calibrating")
END = b"lifecycle finalized"
PROGRAM = """
import json, resource, sys, time
began = time.monotonic()
import torch
from torch.utils.data import DataLoader
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from transformers import AutoModelForCausalLM, AutoTokenizer
import llmcompressor, transformers
folder, path, out, dense = sys.argv[1:5]
rows = [json.loads(line)["input_ids"] for line in open(path)]
model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
size = (1, len(rows[0]))
batches = [{"input_ids": torch.tensor([row]), "attention_mask": torch.ones(size, dtype=torch.long)} for row in rows]
data = DataLoader(batches, batch_size=None)
ignore = ["lm_head"] if dense == "dense" else ["lm_head", "re:.*mlp.gate$"]
recipe = GPTQModifier(targets="Linear", scheme="W4A16", ignore=ignore)
oneshot(model=model, processor=AutoTokenizer.from_pretrained(folder), dataset=data, recipe=recipe,
        max_seq_length=len(rows[0]), num_calibration_samples=len(rows), output_dir=out)
gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
used = 0
if torch.cuda.is_available():
    used = torch.cuda.max_memory_reserved()
host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
facts = dict(seconds=time.monotonic() - began, gpu=gpu, reserved=used, host=host,
             versions=f"llm-compressor {llmcompressor.__version__}, torch {torch.__version__}, "
                      f"transformers {transformers.__version__}")
print("FACTS " + json.dumps(facts), flush=True)
"""


def measured(name: str, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    shape = (TINY if options.tiny else MODELS)[name]
    model = make_model(work / name, shape, options.layers, options.device)
    path = work / "rows.jsonl"
    make_rows(path, options.rows, options.tokens, shape.vocab)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if options.path:
        environment["PYTHONPATH"] = options.path
    program = work / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [options.python, "-u", str(program), str(model), str(path), str(work / "out")]
    process = subprocess.Popen(
        [*command, "mixture" if shape.experts else "dense"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    began, starts, seen, finished = time.monotonic(), dict[int, float](), b"", list[float]()
    while chunk := os.read(process.stdout.fileno(), 65536):
        seen += chunk
        for found in BAR.finditer(seen.decode(errors="replace")):
            starts.setdefault(int(found[1]), time.monotonic() - began)
        if END in seen and not finished:
            finished = [time.monotonic() - began]
    process.wait()
    text = seen.decode(errors="replace")
    (options.out / f"llm_compressor-{name}.log").write_text(text[-100_000:], encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("FACTS ")]
    facts: dict[str, Any] = json.loads(lines[-1].removeprefix("FACTS ")) if lines else {}
    times = [start for _, start in sorted(starts.items())] + finished
    each = [end - start for start, end in pairwise(times)][-options.layers :]
    last = text.strip().splitlines()[-1:] if not lines else [""]
    return {"model": name, "starts": starts, "each": each, "note": last[0][-120:] if last else "", **facts}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--path", default="", help="PYTHONPATH of llm-compressor")
    parser.add_argument("--python", default=sys.executable, help="interpreter of llm-compressor")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--only", default="qwen3-8b,qwen3-30b-a3b")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if options.tiny:
        options.device, options.rows, options.tokens = "cpu", 8, 64
    options.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="faq-llm-compressor-"))
    found = []
    for name in options.only.split(","):
        found.append(one := measured(name, options, work))
        print(one, flush=True)
        (options.out / "llm_compressor.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    head = ("model", "rows × tokens", "layers", "s before", "s a layer", "s in all", "GPU GiB", "host GiB", "note")
    lines = []
    for one in found:
        each, gib = one["each"], 1 << 30
        lines.append(
            (
                one["model"],
                f"{options.rows} × {options.tokens}",
                str(options.layers),
                f"{min(one['starts'].values(), default=0):.1f}",
                ", ".join(f"{seconds:.2f}" for seconds in each) or "–",
                f"{one.get('seconds', 0):.1f}",
                f"{one.get('reserved', 0) / gib:.1f}",
                f"{one.get('host', 0) / gib:.1f}",
                one["note"],
            )
        )
    versions = next((one["versions"] for one in found if "versions" in one), "")
    text = f"# llm-compressor\n\n{versions}\n\n{table(head, lines)}\n"
    (options.out / "llm_compressor.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
