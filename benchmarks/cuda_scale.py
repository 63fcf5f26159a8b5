"""Seconds and memory of one layer of a large model, method by method, and what that makes for all layers.

    python benchmarks/cuda_scale.py [--out FOLDER] [--budget SECONDS] [--models qwen3-8b,qwen3-30b-a3b]
                                    [--methods gptq,spqr,w8a8,gptaq,awq] [--layers 4] [--samples 256]
                                    [--tokens 2048] [--work FOLDER] [--device cuda] [--tiny]

Weights are random and made on the spot, with the layer shapes of the real models; the vocabulary is cut to 32,768
(embeddings are not quantized; the estimate adds their size). Each model and method has an equal share of what is
left of the budget, and is stopped at its end: the layers finished by then count. After each one `scale.json`, whose
rows belong into faq_tui/core/data/quantize_costs.json, and `scale.md` are written again. `--tiny` is for a CPU.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import about, table
from shapes import MODELS, TINY, make_model, make_rows
from watched import Watched, watch

METHODS = ("gptq", "spqr", "w8a8", "gptaq", "awq")
# Where one method's own cost forbids all rows within any sensible budget; said in the table.
FEWER = {("qwen3-30b-a3b", "awq"): 32, ("qwen3-30b-a3b", "gptaq"): 32, ("qwen3-8b", "awq"): 64}


def spec_of(method: str, moe: bool, model: Path, rows: Path, out: Path, device: str) -> dict[str, Any]:
    own: dict[str, Any] = {"bits": 8, "group_size": -1} if method == "w8a8" else {"bits": 4, "group_size": 128}
    if method == "gptaq" and moe:
        own["experts"] = "all"
    return {
        "artefact": f"{method} on {model.name}",
        "model": str(model),
        "method": method,
        "rows": str(rows),
        "out": str(out),
        "device": device,
        **own,
    }


def measured(
    name: str, method: str, model: Path, rows: list[list[int]], seen: Watched, layers: int
) -> dict[str, Any]:
    """One row of the data file."""
    from faq_tui.core.quantizing.profile import profile_of

    return {
        "method": method,
        "model": name,
        "profile": profile_of(model, len(rows), sum(map(len, rows)), max(map(len, rows))).to_json(),
        "device": seen.device,
        "device_name": seen.device_name,
        "date": time.strftime("%Y-%m-%d"),
        "versions": seen.versions,
        "layers_measured": len(seen.layer_seconds),
        "seconds_per_layer": seen.per_layer,
        "seconds_before": round(seen.before, 2),
        "seconds_after": None if seen.after is None else round(seen.after, 2),
        "gpu_bytes": seen.gpu_bytes,
        "gpu_allocated_bytes": seen.gpu_allocated_bytes,
        "host_bytes": seen.host_bytes,
        "note": seen.note,
        "all_layers": layers,
        "hours_for_all_layers": None if seen.per_layer is None else round(seen.per_layer * layers / 3600, 3),
    }


def write(out: Path, found: list[dict[str, Any]]) -> None:
    (out / "scale.json").write_text(json.dumps({"measured": found}, indent=1) + "\n", encoding="utf-8")
    head = (
        *("model", "method", "rows × tokens", "layers", "s a layer", "all layers, h"),
        *("GPU GiB", "allocated GiB", "host GiB", "note"),
    )
    lines = []
    for one in found:
        size = one["profile"]
        cells = (
            one["model"],
            one["method"],
            f"{size['rows']} × {size['longest']}",
            one["layers_measured"],
            one["seconds_per_layer"],
            one["hours_for_all_layers"],
            *(gib(one[key]) for key in ("gpu_bytes", "gpu_allocated_bytes", "host_bytes")),
            one["note"],
        )
        lines.append(["–" if cell is None else str(cell) for cell in cells])
    device = next((one["device_name"] for one in found if one["device_name"]), "")
    head_line = f"{about('torch', 'transformers', 'gptqmodel')} · {device}"
    (out / "scale.md").write_text(f"# Scale\n\n{head_line}\n\n{table(head, lines)}\n", encoding="utf-8")


def gib(value: int | None) -> str | None:
    return None if value is None else f"{value / (1 << 30):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--budget", type=float, default=480.0)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--work", type=Path, help="a folder for the models; by default a temporary one")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if options.tiny:
        options.device, options.samples, options.tokens, options.layers = "cpu", 8, 64, 2
    end = time.monotonic() + options.budget
    options.out.mkdir(parents=True, exist_ok=True)
    work = options.work or Path(tempfile.mkdtemp(prefix="faq-scale-"))
    todo = [(name, method) for name in options.models.split(",") for method in options.methods.split(",")]
    found: list[dict[str, Any]] = []
    for number, (name, method) in enumerate(todo):
        share = (end - time.monotonic()) / (len(todo) - number)
        shape = (TINY if options.tiny else MODELS)[name]
        model = make_model(work / name, shape, options.layers, options.device)
        count = min(options.samples, FEWER.get((name, method), options.samples))
        rows = make_rows(work / f"rows-{count}.jsonl", count, options.tokens, shape.vocab)
        out = work / "artefact"
        spec = spec_of(method, shape.experts > 0, model, work / f"rows-{count}.jsonl", out, options.device)
        seen = watch(spec, work / f"{name}-{method}.log", max(15.0, share))
        shutil.rmtree(out, ignore_errors=True)
        if count < options.samples:
            seen.note = f"{count} rows, since all {options.samples} would not fit the time; {seen.note}".rstrip("; ")
        found.append(measured(name, method, model, rows, seen, shape.real_layers))
        write(options.out, found)
        print(f"{name} {method}: {seen.per_layer} s a layer, {seen.note}", flush=True)
        if options.work is None and (number + 1 == len(todo) or todo[number + 1][0] != name):
            shutil.rmtree(model, ignore_errors=True)
        for log in work.glob("*.log"):
            shutil.copy(log, options.out / log.name)
    if options.work is None:
        shutil.rmtree(work, ignore_errors=True)
    print((options.out / "scale.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
