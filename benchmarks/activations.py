"""Compare a forward pass that records all inputs of o_proj with a plain forward pass, on the embedded model.

python benchmarks/activations.py [--rounds N] [--out FILE]
"""

from __future__ import annotations

import argparse
import gc
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from machine import about, publish, table

MOST_TIME, MOST_MEMORY = 1.15, 1.1  # limits, as multiples of the plain forward pass
ROWS, TOKENS = 4, 300
STATUS = Path("/proc/self/status")


def resident() -> int:
    """The resident memory of this process in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def peak_of(do: Callable[[], None]) -> tuple[float, int]:
    """Returns (CPU seconds, peak resident bytes) of a call. Other programs on the machine do not affect CPU time."""
    highest, ended = resident(), threading.Event()

    def watch() -> None:
        nonlocal highest
        while not ended.wait(0.002):
            highest = max(highest, resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.thread_time()
    do()
    took = time.thread_time() - started
    ended.set()
    watcher.join()
    return took, highest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="number of passes of each kind; the kinds take turns")
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    passes = made_passes()
    for do in passes.values():
        do()  # the first call fills the caches of the allocator and the library
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in passes}
    for _ in range(asked.rounds):
        for name, do in passes.items():
            gc.collect()
            found[name].append(peak_of(do))
    plain, looked = found.values()
    time_ratio = median(b[0] / a[0] for a, b in zip(plain, looked, strict=True))
    memory_ratio = max(peak for _, peak in looked) / max(peak for _, peak in plain)
    body = table(
        ("pass", "CPU seconds: median (min–max)", "times plain", "peak resident", "times plain"),
        [row(name, runs, time_ratio, memory_ratio, runs is looked) for name, runs in found.items()],
    )
    limit = (
        f"Limits: {MOST_TIME} times the CPU time, {MOST_MEMORY} times the memory. The ratio of times is the median "
        "of the ratios of neighbouring passes. The ratio of memory is the ratio of the highest peaks."
    )
    what = f"SmolLM2-135M-Instruct, float32, {ROWS} rows of {TOKENS} tokens, one thread"
    title = f"Activations of all o_proj inputs: {what}"
    publish(title, about("faq-tui", "torch", "transformers"), f"{body}\n\n{limit}", asked.out)
    if time_ratio > MOST_TIME or memory_ratio > MOST_MEMORY:
        sys.exit(f"over the limit: {time_ratio:.3f} times the time, {memory_ratio:.3f} times the memory")


def row(name: str, runs: list[tuple[float, int]], time_ratio: float, memory_ratio: float, is_ours: bool) -> list[str]:
    seconds = [took for took, _ in runs]
    ratios = (f"{time_ratio:.3f}", f"{memory_ratio:.3f}") if is_ours else ("1", "1")
    span = f"{median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
    return [name, span, ratios[0], f"{max(peak for _, peak in runs) / 1e6:,.0f} MB", ratios[1]]


def made_passes() -> dict[str, Callable[[], None]]:
    from pydoc_data.topics import topics

    import torch
    from transformers import AutoTokenizer

    from faq_tui.core.activations.capture import measure
    from faq_tui.core.embedded import ensure_model
    from faq_tui.core.models.dense import load_dense

    folder = ensure_model(print).folder
    model: Any = load_dense(folder, torch.float32, "cpu")
    ids = AutoTokenizer.from_pretrained(folder)("\n".join(topics.values())[:100_000], verbose=False)["input_ids"]
    rows = [ids[start : start + TOKENS] for start in range(0, ROWS * TOKENS, TOKENS)]

    def plain() -> None:
        with torch.inference_mode():
            for one in rows:
                model.get_decoder()(input_ids=torch.tensor([one]), use_cache=False)

    return {"plain forward, without lm_head": plain, "the same, with recording": lambda: void(measure(model, rows))}


def void(_found: object) -> None:
    """Discard the argument."""


if __name__ == "__main__":
    main()
