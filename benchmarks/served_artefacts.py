"""Compare three readers of every method's artefact: faq-tui, plain transformers and vLLM.

    python benchmarks/served_artefacts.py MODEL [--vllm PYTHONPATH] [--out FOLDER] [--tokens 8000] [--windows 24]
        [--artefacts gptq-w4 …] [--device cuda]

Every method quantizes MODEL on the same rows. Then each reader scores the same windows of text: the mean negative
log-likelihood per token, in nats. faq-tui and transformers compute in float32. For the formats of GPTQ and AWQ,
transformers uses gptqmodel's kernels in PyTorch, as docs/guide/recipes.md advises for Hopper GPUs. vLLM computes in
float16, with the kernels that serve the artefact. vLLM cannot share an environment with faq-tui, so it runs with the
given PYTHONPATH. Without --vllm, vLLM is left out.

A table with one line per artefact is written into `served_artefacts.md`. A reader that cannot load an artefact has
the last line of its error in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gptq_engines import draw, quantized, rows_of
from machine import about, table

from faq_tui.core.models.dense import load_dense

# Maps the name of each artefact to its recipe. Without other values, a recipe has 4 bits and groups of 64.
ARTEFACTS: dict[str, dict[str, Any]] = {
    "gptq-w4": {"method": "gptq"},
    "gptq-w8": {"method": "gptq", "bits": 8},
    "gptaq-w4": {"method": "gptaq"},
    "awq-w4": {"method": "awq"},
    "spqr-w4": {"method": "spqr"},
    "w8a8": {"method": "w8a8", "bits": 8, "group_size": -1},
}
WINDOW = 256  # tokens of a window
AT_ONCE = 3  # readers that run at the same time

VLLM = """
import json, sys
from vllm import LLM, SamplingParams
folder, windows = sys.argv[1], json.load(open(sys.argv[2]))
model = LLM(model=folder, max_model_len=1024, enforce_eager=True, gpu_memory_utilization=0.12, dtype="float16")
asked = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
total = count = 0
for window, got in zip(windows, model.generate([{"prompt_token_ids": one} for one in windows], asked)):
    for token, scores in zip(window[1:], got.prompt_logprobs[1:]):
        total, count = total - scores[token].logprob, count + 1
print("NLL", total / count)
"""
TRANSFORMERS = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AwqConfig, GPTQConfig
folder, windows, device = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3]
quantized = json.load(open(folder + "/config.json")).get("quantization_config", {})
kernels = {
    "gptq": lambda: GPTQConfig(bits=quantized["bits"], backend="gptq_torch"),
    "awq": lambda: AwqConfig(bits=quantized["bits"], backend="torch_awq"),
}
chosen = kernels.get(quantized.get("quant_method"), lambda: None)()
more = {} if chosen is None else {"quantization_config": chosen}
model = AutoModelForCausalLM.from_pretrained(folder, device_map=device, **more)
total = count = 0
with torch.no_grad():
    for window in windows:
        ids = torch.tensor([window], device=device)
        scores = torch.log_softmax(model(ids).logits[0, :-1].float(), -1)
        total -= float(scores.gather(1, ids[0, 1:, None]).sum())
        count += len(window) - 1
print("NLL", total / count)
"""


def own(folder: Path, windows: list[list[int]], device: str) -> str:
    import torch

    model = load_dense(folder, torch.float32, device)
    total = count = 0.0
    with torch.no_grad():
        for window in windows:
            ids = torch.tensor([window], device=device)
            scores = torch.log_softmax(model(ids).logits[0, :-1].float(), -1)
            total -= float(scores.gather(1, ids[0, 1:, None]).sum())
            count += len(window) - 1
    return f"{total / count:.4f}"


def asked(program: str, folder: Path, windows: Path, device: str, path: str | None, log: Path) -> str:
    """Run a reader in a process. Returns its NLL, or the last line of its error."""
    environment = {
        **os.environ,
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if path:
        environment["PYTHONPATH"] = path
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(windows), device],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    log.write_text(done.stdout[-20000:] + "\n--- stderr\n" + done.stderr[-20000:], encoding="utf-8")
    found = [line for line in done.stdout.splitlines() if line.startswith("NLL ")]
    if found:
        return f"{float(found[-1].split()[1]):.4f}"
    errors = [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr.splitlines()[-1:]
    return (errors or ["no output"])[-1].strip()[-90:]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--vllm", help="PYTHONPATH of vLLM")
    parser.add_argument("--artefacts", nargs="*", choices=sorted(ARTEFACTS), default=list(ARTEFACTS))
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--windows", type=int, default=24)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    import torch
    from transformers import AutoTokenizer

    options.out.mkdir(parents=True, exist_ok=True)
    work = Path(os.environ.get("TMPDIR", "/tmp")) / "served_artefacts"
    work.mkdir(exist_ok=True)
    plain = load_dense(options.model, torch.float32, options.device)
    rows = rows_of(plain, AutoTokenizer.from_pretrained(options.model), options.device)
    del plain
    unseen, rest = rows[: options.windows * 4], rows[options.windows * 4 :]
    flat = [token for row in unseen for token in row]
    windows = [flat[start : start + WINDOW] for start in range(0, options.windows * WINDOW, WINDOW)]
    path = work / "windows.json"
    path.write_text(json.dumps(windows), encoding="utf-8")
    folders = {"unquantized": options.model.resolve()}
    for name in options.artefacts:
        recipe = ARTEFACTS[name]
        began = time.monotonic()
        try:
            quantized(options.model.resolve(), recipe, draw(rest, options.tokens, 0), work / name, options.device)
        except Exception as error:  # noqa: BLE001 the other artefacts are still of use
            print(name, "failed:", error, flush=True)
            continue
        folders[name] = work / name
        print(name, f"{time.monotonic() - began:.1f} s", flush=True)
    ours = {name: own(folder, windows, options.device) for name, folder in folders.items()}
    print(ours, flush=True)
    readers = [("transformers", TRANSFORMERS, None)] + ([("vLLM", VLLM, options.vllm)] if options.vllm else [])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {
            (name, reader): pool.submit(
                asked, program, folder, path, options.device, vllm, options.out / f"{reader}-{name}.log"
            )
            for reader, program, vllm in readers
            for name, folder in folders.items()
        }
        for key, job in waiting.items():
            print(*key, job.result(), flush=True)
    head = ("artefact", "faq-tui", *(reader for reader, _, _ in readers))
    lines = [(name, ours[name], *(waiting[name, reader].result() for reader, _, _ in readers)) for name in folders]
    where = f"{about('torch', 'transformers', 'gptqmodel')} · {options.device}"
    text = f"# Negative log-likelihood per token, by three readers\n\n{where}\n\n{table(head, lines)}\n"
    (options.out / "served_artefacts.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
