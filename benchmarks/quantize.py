"""Measure the overhead of faq-tui in a quantization, and compare SpQR with gptqmodel's GPTQ.

    python benchmarks/quantize.py [--layers 8] [--rows 8] [--tokens 128] [--runs 2] [--out FILE]

The model is the embedded model, cut to its first layers, on the CPU. The first part compares the worker of
`faq-tui run` with a plain script that makes the same gptqmodel calls. The worker and the script run in pairs, and the
order changes from pair to pair. The program measures wall time, CPU time and peak memory, and takes the median over
pairs. The worker may need at most 1.02 times as much time and memory as the plain script. From run to run, the same
script varies by
10 % in time and by 4 % in memory, because the number of malloc's arenas depends on the timing of threads. Therefore a
few pairs are not enough for a reliable result. If the machine also does other work, wall time is useless. The second
part measures the seconds per layer. SpQR may take at most twice the time of gptqmodel's GPTQ.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layer_error import prose
from machine import about, load, publish, spread, table
from watched import watch

LIMIT, SPQR_LIMIT = 1.02, 2.0
UNITS = {"wall": "wall, s", "cpu": "processor, s", "memory": "peak memory, MB"}
PLAIN = """
import json, os, sys
job = json.load(sys.stdin)
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
os.environ.setdefault("GPTQMODEL_DISABLE_PACK_EXT", "1")
import gptqmodel
config = gptqmodel.GPTQConfig(bits=4, group_size=64, sym=True, desc_act=False, act_group_aware=True,
                              damp_percent=0.05, offload_to_disk_path=job["out"] + "-offload")
model = gptqmodel.GPTQModel.load(job["model"], config, device="cpu", backend="auto")
model.quantize(job["rows"], batch_size=1, calibration_sort=None)
model.save(job["out"])
sys.stdout.flush()
os._exit(0)
"""


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float  # seconds of processor time, user and system
    memory: float  # peak resident memory in MB


def cut(source: Path, folder: Path, layers: int) -> Path:
    """The first `layers` layers of a model, in a new folder."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = layers
    (folder / "config.json").write_text(json.dumps(config))
    for path in folder.glob("*.safetensors"):
        kept = {name: tensor for name, tensor in load_file(path).items() if _layer(name) < layers}
        save_file(kept, path, {"format": "pt"})
    return folder


def _layer(name: str) -> int:
    return int(name.split(".layers.")[1].split(".")[0]) if ".layers." in name else -1


def cost(work: Callable[[], None]) -> Cost:
    """The cost of the child process that `work` starts and waits for. The operating system records the peak memory of
    the child."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work()
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, after.ru_maxrss / 1e3)


def apart(which: str, job: dict[str, Any]) -> Cost:
    """Measure in a separate process. The recorded peak is the maximum over children, so only one child may exist."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", which], input=json.dumps(job), capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def one(which: str) -> None:
    job = json.load(sys.stdin)
    out = Path(job["out"])
    if which == "plain":
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}

        def work() -> None:
            with (out.parent / "plain.log").open("w") as log:
                command = [sys.executable, "-c", PLAIN]
                text = json.dumps(job)
                subprocess.run(
                    command,
                    input=text,
                    text=True,
                    stdout=log,
                    stderr=log,
                    check=True,
                    env=environment,
                    cwd=out.parent,
                )
    else:
        from faq_tui.core.base.cancel import CancelToken
        from faq_tui.core.worker import run_worker

        spec = {**job["spec"], "out": str(out)}

        def work() -> None:
            run_worker("quantize", spec, lambda _message: None, CancelToken(), out.parent / "worker.log")

    print(json.dumps(cost(work).__dict__))


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("layers", 8), ("rows", 8), ("tokens", 128), ("runs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", choices=("plain", "worker"), help="internal: only this program uses this option")
    options = parser.parse_args()
    if options.one:
        one(options.one)
        return
    from faq_tui.core.embedded import ensure_model

    folder = Path(tempfile.mkdtemp(prefix="faq-quantize-"))
    model = cut(ensure_model(lambda _text: None).folder, folder / "model", options.layers)
    rows = prose(model, options.rows, options.tokens)
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    recipe = {"method": "gptq", "bits": 4, "group_size": 64, "engine": "gptqmodel"}
    spec = {"artefact": "x", "model": str(model), "recipe": recipe, "rows": str(path), "device": "cpu"}
    found: dict[str, list[Cost]] = {"plain": [], "worker": []}
    for number in range(options.runs):
        for which in sorted(found, reverse=number % 2 == 1):
            out = folder / f"{which}-{number}"
            found[which].append(apart(which, {"model": str(model), "rows": rows, "spec": spec, "out": str(out)}))
            shutil.rmtree(out, ignore_errors=True)
    lines, pairs = [], {}
    for name in Cost.__dataclass_fields__:
        plain, worker = ([getattr(cost, name) for cost in costs] for costs in found.values())
        pairs[name] = [mine / theirs for mine, theirs in zip(worker, plain, strict=True)]
        lines.append([UNITS[name], spread(plain, places=1), spread(worker, places=1), spread(pairs[name], places=3)])
    first = table(["median (least–most)", "plain script", "worker", "ratio of a pair"], lines)
    ratios = {name: statistics.median(of) for name, of in pairs.items()}
    layers = {}
    for method, keys in (("gptq", recipe), ("spqr", {"method": "spqr", "bits": 4, "group_size": 64})):
        seen = watch({**spec, "recipe": keys, "out": str(folder / method)}, folder / f"{method}.log", 3600.0)
        layers[method] = statistics.median(seen.layer_seconds)
    ratio = layers["spqr"] / layers["gptq"]
    second = table(
        ["seconds a layer, median", "gptq", "spqr", "ratio"],
        [["", f"{layers['gptq']:.2f}", f"{layers['spqr']:.2f}", f"{ratio:.2f}"]],
    )
    shutil.rmtree(folder, ignore_errors=True)
    size = f"{options.layers} layers, {options.rows} rows × {options.tokens} tokens, {options.runs} runs"
    size += f"; load {load():.1f}"
    publish(
        "Quantizing", f"{about('torch', 'transformers', 'gptqmodel')}\n\n{size}", f"{first}\n\n{second}", options.out
    )
    assert max(ratios.values()) <= LIMIT, ratios
    assert ratio <= SPQR_LIMIT, ratio


if __name__ == "__main__":
    main()
