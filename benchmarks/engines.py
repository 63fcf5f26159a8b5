"""Quantize the same rows with faq-tui's walk, GPTQModel and llm-compressor, and compare time, memory and losses.

    python benchmarks/engines.py [--out FOLDER] [--only qwen3-8b,qwen3-30b-a3b] [--engines walk,gptqmodel,…]
                                 [--layers 2] [--rows 256] [--tokens 2048] [--group 128] [--path PYTHONPATH]
                                 [--limit SECONDS] [--work FOLDER] [--device cuda] [--tiny]

Each model has random weights and `--layers` layers of the real model's shape. Each engine runs in a new process:
faq-tui's worker, and the plain scripts of engine_programs.py for the libraries. The first layer of a process includes
the compilation of kernels, so the table has the seconds of each layer. Memory is sampled ten times per second: what
the process uses on the GPU, and its resident memory on the host, which includes mapped files. An engine that needs
more than `--limit` seconds is ended.

The losses of all engines have the same definition (see engine_losses.py). They are computed from the finished
artefacts. The line `rounding` has the loss of rounding to the nearest code, without any calibration. A cell has the
mean loss and the number of modules.

llm-compressor pins other versions of some libraries. `--path` is its PYTHONPATH. After each engine, the program
writes `OUT/engines.json` and `OUT/engines.md`. An engine whose result is in `OUT/engines.json` is not run again, so
several calls can make one table. `--tiny` is for a test on a CPU.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from engine_losses import ROUNDING, kinds_of, losses_of
from engine_programs import PROGRAMS, run_program
from machine import about, table
from shapes import MODELS, TINY, Shape, limit_seconds, make_model, make_rows
from watched import Watched, watch

from faq_tui.core.settings.recipe import build_recipe

WALK = "walk"
GIB = 1 << 30


def quantize(engine: str, model: Path, rows: Path, out: Path, options: argparse.Namespace, mixture: bool) -> Watched:
    """Quantize with one engine into the folder `out`."""
    shutil.rmtree(out, ignore_errors=True)
    log = options.out / f"{engine}-{model.name}.log"
    if engine == WALK:
        # The libraries count every token once.
        asked = {"method": "gptq", "bits": 4, "group_size": options.group, "engine": "walk", "sink_share": "off"}
        recipe = build_recipe(asked)
        spec = {"artefact": "engines", "model": str(model), "recipe": recipe.identity(), "rows": str(rows)}
        return watch({**spec, "out": str(out), "device": options.device}, log, options.limit)
    keys = {"model": model, "rows": rows, "out": out, "group": options.group, "device": options.device}
    return run_program(PROGRAMS[engine], {**keys, "mixture": mixture}, options.path, log, options.limit)


def measured(name: str, engine: str, options: argparse.Namespace) -> dict[str, Any]:
    shape = (TINY if options.tiny else MODELS)[name]
    model = make_model(options.work / name, shape, options.layers, options.device)
    rows = options.work / "rows.jsonl"
    ids = make_rows(rows, options.rows, options.tokens, shape.vocab)
    out = options.work / "artefact"
    row: dict[str, Any] = {"model": name, "engine": engine}
    if engine != ROUNDING:
        seen = quantize(engine, model, rows, out, options, bool(shape.experts))
        row |= {
            "layers": seen.layer_seconds,
            "before": seen.before,
            "after": seen.after,
            "gpu": seen.gpu_bytes,
            "host": seen.host_bytes,
            "note": seen.note,
        }
    print(row, flush=True)
    began = time.monotonic()
    if engine == ROUNDING or any(out.glob("*.safetensors")):
        losses = losses_of(model, ids[: options.loss_rows], engine, out, options.group, options.device)
        row["losses"] = kinds_of(losses)
    print(engine, row.get("losses"), f"{time.monotonic() - began:.0f} s for the losses", flush=True)
    shutil.rmtree(out, ignore_errors=True)
    return row


def cells_of(one: dict[str, Any], shape: Shape, options: argparse.Namespace, kinds: list[str]) -> list[str]:
    layers, losses = one.get("layers") or [], one.get("losses", {})
    limit = limit_seconds(shape, options.rows * options.tokens)
    last = layers[-1] if len(layers) == options.layers else None
    whole = None if one.get("after") is None else one["before"] + sum(layers) + one["after"]
    found: list[Any] = [
        one["engine"],
        ", ".join(f"{seconds:.2f}" for seconds in layers) or None,
        last and f"{last / limit:.1f} ×",
        whole and f"{whole:.0f}",
        one.get("gpu") and f"{one['gpu'] / GIB:.1f}",
        one.get("host") and f"{one['host'] / GIB:.1f}",
        *(f"{losses[kind][0]:.3%} ({losses[kind][1]})" if kind in losses else None for kind in kinds),
        one.get("note", ""),
    ]
    return ["–" if cell is None else str(cell) for cell in found]


def write(found: list[dict[str, Any]], options: argparse.Namespace) -> None:
    (options.out / "engines.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    parts = []
    for name in dict.fromkeys(one["model"] for one in found):
        mine = [one for one in found if one["model"] == name]
        kinds = list(dict.fromkeys(kind for one in mine for kind in one.get("losses", {})))
        shape = MODELS[name]
        head = [
            "engine",
            "s, each layer",
            "of the limit",
            "s, whole",
            "GPU GiB",
            "host GiB",
            *(f"loss, {kind}" for kind in kinds),
            "note",
        ]
        rows = [cells_of(one, shape, options, kinds) for one in mine]
        limit = limit_seconds(shape, options.rows * options.tokens)
        parts.append(f"## {name}: limit {limit:.2f} s a layer\n\n{table(head, rows)}")
    title = f"Engines: GPTQ, 4 bits, groups of {options.group}, {options.rows} × {options.tokens} tokens"
    text = f"# {title}\n\n{about('torch', 'transformers', 'gptqmodel')}\n\n" + "\n\n".join(parts) + "\n"
    (options.out / "engines.md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--only", default="qwen3-8b,qwen3-30b-a3b")
    parser.add_argument("--engines", default=f"{WALK},{','.join(PROGRAMS)},{ROUNDING}")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--loss-rows", type=int, default=64)
    parser.add_argument("--path", default="", help="PYTHONPATH of llm-compressor")
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if options.tiny:
        options.device, options.rows, options.tokens, options.group = "cpu", 8, 64, 32
    options.work = options.work or Path(tempfile.mkdtemp(prefix="faq-engines-"))
    options.out.mkdir(parents=True, exist_ok=True)
    past = options.out / "engines.json"
    found = json.loads(past.read_text(encoding="utf-8")) if past.is_file() else []
    done = {(one["model"], one["engine"]) for one in found}
    for name in options.only.split(","):
        for engine in options.engines.split(","):
            if (name, engine) not in done:
                found.append(measured(name, engine, options))
                write(found, options)
    print((options.out / "engines.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
