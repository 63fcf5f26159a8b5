"""Quantize a model twice in one process, and say where the time goes.

    python benchmarks/walk_profile.py MODEL WORK [--method gptq@walk] [--rows 256] [--tokens 2048] [--layers 2]
                                      [--group 128] [--room GIB] [--device cuda] [--tiny]

MODEL is the folder of a model, or a shape (qwen3-8b, qwen3-30b-a3b, qwen3-1.7b). Of a shape, the program makes a
random model with `--layers` layers in WORK. The first quantization imports the libraries and compiles the kernels.
The second one is warm: a worker that makes several artefacts needs this time for each artefact after its first. With
the engine `walk`, the program quantizes a third time and measures each phase. For this, the program waits for the GPU
at the end of each phase, so the third quantization is a little slower. The time of a phase does not include the
phases @@ in which the walk keeps outputs of a layer's modules, so that it computes them once
(see kept_outputs.py); `--room 0` keeps none. `--tiny` is for a test on a CPU.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import about, publish, table
from shapes import MODELS, TINY, make_model, make_rows

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.devices import peak_memory_mb
from faq_tui.core.quantizing import task
from faq_tui.core.settings.recipe import build_recipe


class Phases:
    """The seconds and the calls of functions. A function's seconds do not include the functions that it calls."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.seconds, self.calls = defaultdict[str, float](float), Counter[str]()
        self._synchronize = synchronize
        self._inner: list[float] = []  # for each running function, the seconds of the functions that it called

    def measure(self, owner: Any, name: str, label: str) -> None:
        function = getattr(owner, name)

        def measured(*given: Any, **named: Any) -> Any:
            self._synchronize()
            began = time.perf_counter()
            self._inner.append(0.0)
            try:
                return function(*given, **named)
            finally:
                self._synchronize()
                taken = time.perf_counter() - began
                self.seconds[label] += taken - self._inner.pop()
                self.calls[label] += 1
                if self._inner:
                    self._inner[-1] += taken

        setattr(owner, name, measured)


def measure_walk(phases: Phases) -> None:
    from faq_tui.core.quantizing import model_writer
    from faq_tui.core.quantizing.methods.gptq import matrix, walked
    from faq_tui.core.quantizing.sequential import batching, engine, hessian, shard, walk

    for owner, name, label in (
        (task, "check_job", "check of the job"),
        (engine, "quantize_layers", "everything else"),
        (walk, "capture", "embedding of the tokens"),
        (shard.Shard, "forward", "forward passes"),
        (hessian.Hessian, "add", "Hessians"),
        (batching, "factorize", "Cholesky factors"),
        (matrix, "fit", "search of the scales"),
        (matrix, "walk", "columns"),
        (walked, "packed_tensors", "packing"),
        (model_writer.LayerFiles, "add", "writing of the layers"),
        (engine, "write_model", "writing of the model"),
    ):
        phases.measure(owner, name, label)


def rows_of(path: Path, count: int, longest: int) -> Path:
    """Random rows of random lengths, for a real model."""
    dice = random.Random(0)
    rows = [[dice.randrange(5, 30_000) for _ in range(dice.randrange(longest // 4, longest))] for _ in range(count)]
    path.write_text("".join(f'{{"input_ids": {row}}}\n' for row in rows))
    return path


def quantize(spec: dict[str, Any], keep: bool = False) -> tuple[float, float, float]:
    """The seconds of the whole task, before the first layer, and of a layer (the mean of all layers).

    The artefact is removed unless `keep` is true.
    """
    began, starts, saving = time.perf_counter(), list[float](), 0.0

    def send(kind: str, **_: Any) -> None:
        nonlocal saving
        if kind == "layer_started":
            starts.append(time.perf_counter() - began)
        elif kind == "saving":
            saving = time.perf_counter() - began

    out = Path(spec["out"])
    out.mkdir(parents=True)
    task.run(spec, send, CancelToken())
    seconds = time.perf_counter() - began
    if not keep:
        shutil.rmtree(out)
    return seconds, starts[0], (saving - starts[0]) / len(starts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("work", type=Path)
    parser.add_argument("--method", default="gptq@walk")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--room", type=float)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.room is not None:
        from faq_tui.core.quantizing.sequential.walk import LayerWalk

        def room_of(*_: Any) -> int:
            return int(options.room * 2**30)

        setattr(LayerWalk, "_room", room_of)  # noqa: B010  mypy forbids the plain assignment
    rows = options.work / "rows.jsonl"
    if options.model in MODELS:
        shape = (TINY if options.tiny else MODELS)[options.model]
        model = make_model(options.work / "model", shape, options.layers, options.device)
        make_rows(rows, options.rows, options.tokens, shape.vocab)
    else:
        model = Path(options.model)
        rows_of(rows, options.rows, options.tokens)
    method, _, engine = options.method.partition("@")
    asked: dict[str, Any] = {"method": method, "bits": 4, "group_size": options.group}
    recipe = build_recipe({**asked, **({"engine": engine} if engine else {})})
    spec = {
        "artefact": "profile",
        "model": str(model),
        "recipe": recipe.identity(),
        "rows": str(rows),
        "out": str(options.work / "out"),
        "device": options.device,
    }
    lines = []
    for name in ("first", "warm"):
        whole, before, layer = quantize(spec)
        peak, host = peak_memory_mb(options.device) or 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        lines.append([name, f"{whole:.2f}", f"{before:.2f}", f"{layer:.3f}", f"{peak:,.0f}", f"{host:,.0f}"])
        print(*lines[-1], flush=True)
    head = [
        "quantization",
        "seconds",
        "before the first layer",
        "a layer",
        "GPU peak so far, MB",
        "host peak so far, MB",
    ]
    body = table(head, lines)
    if engine != "gptqmodel":
        import torch

        phases = Phases(torch.cuda.synchronize if options.device == "cuda" else lambda: None)
        measure_walk(phases)
        whole, _, _ = quantize(spec)
        ranked = sorted(phases.seconds.items(), key=lambda phase: -phase[1])
        found = [[label, f"{seconds:.2f}", f"{phases.calls[label]:,}"] for label, seconds in ranked]
        rest = whole - sum(phases.seconds.values())
        body += f"\n\n{table(['phase', 'seconds', 'calls'], [*found, ['start and end', f'{rest:.2f}', '']])}"
    room = "" if options.room is None else f", room {options.room:g} GiB"
    title = f"{options.method} on {Path(options.model).name}: {options.rows} × {options.tokens} tokens{room}"
    publish(title, about("torch", "transformers", "gptqmodel"), body, options.out)


if __name__ == "__main__":
    main()
