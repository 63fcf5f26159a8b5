"""Run the whole pipeline on a target that is larger than the memory of the GPU and of the host.

    python benchmarks/larger_than_memory.py [--layers 20] [--gpu-gib 24] [--host-gib 16] [--methods gptq,spqr,w8a8]
                                            [--work FOLDER] [--out FOLDER] [--budget SECONDS] [--device cuda] [--tiny]

The target has random weights and the layers of Qwen3-30B-A3B. The target is written to disk one layer at a time. The
program then occupies memory of the GPU until only the given size is free. For the host, the program sets the limit of
a control group (cgroup), so the kernel ends a run that needs more. If the program cannot set this limit, it also
occupies memory of the host. The run is the same as with `faq-tui run`: it quantizes with each method, measures
activations, and evaluates. The table shows seconds and peaks of each stage. The peak of the GPU is what all processes
use, minus what the program occupies. The peak of the host is the anonymous memory of the run's processes, because the
system drops pages of mapped files when memory is short. With `--device cpu`, only the memory of the host is limited.
`--tiny` is for a test on a CPU; with this option, the program occupies no memory. Several calls with other methods
and the same `--work` share the target.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import shutil
import string
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from cuda_table import pipeline, write_settings
from machine import about, publish, table
from shapes import MODELS, TINY, Shape, config_of, make_model
from watched import gpu_used

from faq_tui.core.base.host_memory import return_freed_memory
from faq_tui.core.models.memory_need import memory_need

GIB = 1 << 30
SETTINGS = """
[target]
model = "{target}"
dtype = "bfloat16"
[seeds]
path = "seeds.txt"
count = {rows}
heldout = 4
[assemble]
max_tokens = {tokens}
[evaluate]
perplexity = ["prose.txt"]
window = {tokens}
prose_tokens = {prose}
answers = []
last_word = []
multiple_choice = []
[activations]
samples = 32
"""
STAGES = ("assemble", "activations", "quantize", "evaluate")


def write_target(folder: Path, shape: Shape, layers: int, device: str) -> Path:
    """Write a model of `layers` layers, one file per layer, with new random numbers in each, unless it exists."""
    index_file = folder / "model.safetensors.index.json"
    if index_file.is_file():  # written last
        return folder
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    one = make_model(folder.with_name("one-layer"), shape, 1, device)
    shutil.copytree(one, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    config_of(shape, layers).save_pretrained(folder)
    body = json.loads((folder / "config.json").read_text()) | {"architectures": ["Qwen3MoeForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(body))
    places: dict[str, str] = {}
    size = 0
    with safe_open(one / "model.safetensors", "pt") as file:
        kinds = {name: (file.get_slice(name).get_shape(), name) for name in file.keys()}  # noqa: SIM118  not a dict

    def write(name: str, names: dict[str, list[int]]) -> None:
        nonlocal size
        tensors: dict[str, Any] = {}
        for key, wanted in names.items():
            if len(wanted) == 1:
                tensors[key] = torch.ones(wanted, dtype=torch.bfloat16)
            else:
                tensors[key] = (torch.randn(wanted, device=device) * 0.02).to(torch.bfloat16).cpu()
            places[key] = name
            size += tensors[key].numel() * 2
        save_file(tensors, folder / name, {"format": "pt"})

    layer = {name: wanted for name, (wanted, _) in kinds.items() if ".layers.0." in name}
    rest = {name: wanted for name, (wanted, _) in kinds.items() if name not in layer}
    files = layers + 1
    write(f"model-{files:05}-of-{files:05}.safetensors", rest)
    for index in range(layers):
        names = {name.replace(".layers.0.", f".layers.{index}."): wanted for name, wanted in layer.items()}
        write(f"model-{index + 1:05}-of-{files:05}.safetensors", names)
    index_body = {"metadata": {"total_size": size}, "weight_map": places}
    index_file.write_text(json.dumps(index_body))
    shutil.rmtree(one)
    return folder


def limit_host(host_gib: float) -> bool:
    """Move this process into a control group with this limit. Returns False if the system does not allow this."""
    tops = {"/sys/fs/cgroup": "memory.max", "/sys/fs/cgroup/memory": "memory.limit_in_bytes"}
    for top, limit in tops.items():
        group = Path(top) / f"faq-tui-{os.getpid()}"
        if not (Path(top) / "cgroup.procs").is_file():
            continue
        try:
            with suppress(OSError):
                (Path(top) / "cgroup.subtree_control").write_text("+memory")
            group.mkdir()
            (group / limit).write_text(str(int(host_gib * GIB)))
            (group / "cgroup.procs").write_text(str(os.getpid()))
            return True
        except OSError as error:
            print(f"no control group: {error}", flush=True)
    return False


def occupy(gpu_gib: float, host_gib: float, host: bool) -> list[Any]:
    """Occupy memory, so that the given sizes stay free. The memory is occupied as long as the returned object exists.

    Without `host`, only memory of the GPU is occupied.
    """
    import torch

    held: list[Any] = []
    if torch.cuda.is_available() and (more := torch.cuda.mem_get_info()[0] - int(gpu_gib * GIB)) > 0:
        held.append(torch.empty(more, dtype=torch.uint8, device="cuda"))
    if not host:
        return held
    more = psutil.virtual_memory().available - int(host_gib * GIB)
    while more > 0:
        block = mmap.mmap(-1, min(more, 4 * GIB), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
        held.append(block)
        more -= 4 * GIB
    return held


class Peaks:
    """Samples memory ten times per second."""

    def __init__(self, device: str) -> None:
        self.before = (gpu_used() or 0) if device == "cuda" else None
        self.gpu = self.host = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def end(self) -> tuple[int, int]:
        self._done.set()
        self._thread.join()
        return self.gpu, self.host

    def _sample(self) -> None:
        while not self._done.wait(0.1):
            self.host = max(self.host, sum(map(anonymous, psutil.Process().children(recursive=True))))
            if self.before is not None:
                self.gpu = max(self.gpu, (gpu_used() or 0) - self.before)


def anonymous(process: psutil.Process) -> int:
    try:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # the process has ended
    return 0


def make_run(folder: Path, target: Path, rows: int, tokens: int) -> Path:
    folder.mkdir(parents=True)
    dice = random.Random(0)
    letters = string.ascii_letters + " " * 10

    def text() -> str:
        return "".join(dice.choice(letters) for _ in range(tokens - 8))

    (folder / "seeds.txt").write_text("".join(f"{text()}\n" for _ in range(rows + 4)))
    (folder / "prose.txt").write_text(" ".join(text() for _ in range(20)))
    settings = SETTINGS.format(target=target, rows=rows, tokens=tokens, prose=8 * tokens)
    (folder / "faq.toml").write_text(settings)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--gpu-gib", type=float, default=24)
    parser.add_argument("--host-gib", type=float, default=16)
    parser.add_argument("--methods", default="gptq,spqr,w8a8")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--budget", type=float, default=540)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    shape = (TINY if given.tiny else MODELS)["qwen3-30b-a3b"]
    if not given.tiny:
        shape = replace(shape, vocab=151_936)
    work = given.work or Path(tempfile.mkdtemp())
    started = time.monotonic()
    target = write_target(work / "target", shape, given.layers, given.device)
    return_freed_memory()  # the memory of this program counts for the control group, too
    need = memory_need(target, 2)
    print(f"{need.whole / GIB:.1f} GiB written after {time.monotonic() - started:.0f} s", flush=True)
    run = make_run(work / given.methods.replace(",", "-"), target, given.rows, given.tokens)
    recipes = [
        {"method": method, **({} if method == "w8a8" else {"bits": 4, "group_size": 128 if not given.tiny else 32})}
        for method in given.methods.split(",")
    ]
    write_settings(run, recipes, given.device)
    limited = given.tiny or limit_host(given.host_gib)
    held = [] if given.tiny else occupy(given.gpu_gib, given.host_gib, not limited)
    on_gpu = "" if given.device == "cpu" else f"{given.gpu_gib:g} GiB of the GPU, "
    how = "control group" if limited else "the rest is occupied"
    where = about("torch", "transformers")
    lines: list[list[str]] = []
    for stage in STAGES:
        peaks, begun = Peaks(given.device), time.monotonic()
        why = pipeline(run, stage, given.budget - (begun - started))
        gpu, host = peaks.end()
        seconds = time.monotonic() - begun
        lines.append([stage, f"{seconds:.0f}", f"{gpu / GIB:.1f}", f"{host / GIB:.1f}", why or "done"])
        body = table(["stage", "seconds", "GPU peak, GiB", "host peak, GiB", "end"], lines)
        facts = (
            f"Weights: {need.whole / GIB:.1f} GiB in {given.layers} layers of {need.layer / GIB:.2f} GiB; embedding "
            f"and lm_head: {need.resident / GIB:.2f} GiB. Free: {on_gpu}{given.host_gib:g} GiB of the host ({how}). "
            f"{given.rows} rows of {given.tokens} tokens. "
            f"Methods: {given.methods}."
        )
        publish("A target larger than the memory", where, f"{facts}\n\n{body}", None)
        if given.out is not None:
            (given.out / "larger-than-memory.md").write_text(f"{where}\n\n{facts}\n\n{body}\n")
        if why:
            break
    del held


if __name__ == "__main__":
    main()
