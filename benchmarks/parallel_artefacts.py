"""Quantize eight artefacts one at a time, and several at a time, and compare the seconds and the weights.

    python benchmarks/parallel_artefacts.py FOLDER [--parallel 1,2] [--methods gptq-4,gptaq-4,spqr-4,w8a8-8]
                                            [--shape qwen3-1.7b] [--layers 24] [--rows 128] [--tokens 512]
                                            [--device cuda] [--out FILE] [--tiny]

The target has random weights and the layers of `--shape`. Each method quantizes two sets, which differ by one
sample. The program first makes a run in FOLDER up to the stage assemble; the stage activations is off. For each value
of `--parallel`, the program copies this run, sets `[quantize] parallel`, and runs `faq-tui run --until quantize` in a
new process. The seconds are the time of this command, with its start. Methods that compile kernels do so once, before
the first measurement, on a target of one layer. The weights of all copies must be equal. `--tiny` is for a test on a
CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import tomlkit
from cuda_table import recipe
from larger_than_memory import make_run
from machine import about, publish, table
from shapes import MODELS, TINY, make_model

SETS = ("one", "two")


def write(folder: Path, parallel: int, options: argparse.Namespace) -> None:
    """Write the settings: two sets, one recipe for each method, and how many artefacts are made at a time."""
    path = folder / "faq.toml"
    document: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    document["target"]["device"] = options.device
    document["sets"] = {name: {"from": "baseline", "count": options.rows - n} for n, name in enumerate(SETS)}
    document["quantize"] = {"parallel": parallel}
    document["activations"] = {"enabled": False}
    group = 32 if options.tiny else 128
    document["recipes"] = [recipe(name, group, list(SETS)) for name in options.methods.split(",")]
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


def run(folder: Path, until: str) -> float:
    """Run the command, and return its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "faq_tui", "run", str(folder), "--until", until]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "4"})
    return time.monotonic() - began


def weights_of(folder: Path) -> dict[str, str]:
    """A hash of the weights of each artefact."""
    return {
        path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "models").glob("*/*.safetensors"))
    }


def make(folder: Path, layers: int, options: argparse.Namespace, until: str) -> Path:
    """A run whose stages up to `until` are finished."""
    shape = (TINY if options.tiny else MODELS)[options.shape]
    model = make_model(folder.with_name(f"{folder.name}-target"), shape, layers, options.device)
    make_run(folder, model, options.rows, options.tokens)
    write(folder, 1, options)
    run(folder, until)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parallel", default="1,2")
    parser.add_argument("--methods", default="gptq-4,gptaq-4,spqr-4,w8a8-8")
    parser.add_argument("--shape", choices=MODELS, default="qwen3-1.7b")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    began = time.monotonic()
    make(options.folder / "warm", 1, options, "quantize")
    made = make(options.folder / "run", options.layers, options, "assemble")
    print(f"before the measurements: {time.monotonic() - began:.0f} s", flush=True)
    expected, lines, first = dict[str, str](), list[list[str]](), 0.0
    for parallel in map(int, options.parallel.split(",")):
        folder = options.folder / f"parallel-{parallel}"
        shutil.copytree(made, folder)
        write(folder, parallel, options)
        seconds = run(folder, "quantize")
        first, weights = first or seconds, weights_of(folder)
        expected = expected or weights
        equal = sum(weights.get(name) == value for name, value in expected.items())
        lines.append([str(parallel), str(len(weights)), f"{seconds:.1f}", f"{seconds / first:.2f}", f"{equal}"])
        print(*lines[-1], flush=True)
        shutil.rmtree(folder)
    head = ["parallel", "artefacts", "seconds", "share of the first", "weights equal to the first"]
    facts = (
        f"Target: the shape of {options.shape} with {options.layers} layers and random weights. "
        f"{options.rows} samples of {options.tokens} tokens. Methods: {options.methods}."
    )
    body = f"{facts}\n\n{table(head, lines)}"
    publish("Several artefacts at a time", about("torch", "transformers"), body, options.out)


if __name__ == "__main__":
    main()
