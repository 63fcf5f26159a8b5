"""What a quantization on CUDA costs, as sums of terms: their factors were fitted to benchmarks/cuda_scale.py's rows.

The fit is by least squares of relative errors with no factor below zero; GPTAQ's for `hessian` is two float32
products at 50 TFLOP/s, since its rows alone do not tell. On the rows that it was made from, the sums alone are within
a quarter; estimate.py sets their level by the nearest of these rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing.profile import LayerProfile

# The methods of our own walk: what shares a Hessian, or is an expert of one shape, is solved together.
WALKED = frozenset({"spqr", "w8a8"})
WORK = 9_400_000_000  # bytes that a portion of rows may take on the GPU that was measured: a sixteenth of it

# Seconds a layer, for each unit of `layer_terms`.
SECONDS: dict[str, dict[str, float]] = {
    "gptq": {"module": 0.09047, "column": 4.149e-5, "hessian": 3.058e-14, "weight": 1.78e-8},
    "gptaq": {"column": 5.83e-4, "hessian": 8e-14, "weight": 3.54e-9},
    "awq": {"module": 0.08641, "input": 4.438e-9},
    "spqr": {"module": 0.002126, "column": 2.097e-4, "forward": 3.671e-14, "weight": 2.085e-9},
    "w8a8": {"module": 0.00253, "column": 1.315e-4, "forward": 3.96e-14, "weight": 3.577e-10},
}
# Bytes, for each unit of `memory_terms`.
GPU: dict[str, dict[str, float]] = {
    "gptq": {"context": 1.7e9, "states": 2.08, "layer": 1.72, "expert_squares": 0.61},
    "gptaq": {"context": 1.69e9, "inputs": 1.08, "weight": 17.75},
    "awq": {"context": 1.64e9, "inputs": 1.93},
    "spqr": {"context": 0.77e9, "square": 9.93, "layer": 8.14, "work": 0.49},
    "w8a8": {"context": 0.77e9, "square": 9.39, "layer": 6.03, "work": 0.58},
}
HOST: dict[str, dict[str, float]] = {
    "gptq": {"context": 2.3e9, "states": 0.99, "resident": 1.98, "expert_squares": 0.67},
    "gptaq": {"context": 2.28e9, "states": 1.96, "resident": 2.4},
    "awq": {"context": 2.44e9, "inputs": 1.67},
    "spqr": {"context": 2.1e9, "total": 1.0, "layer": 1.2},
    "w8a8": {"context": 2.0e9, "total": 1.0, "layer": 0.5},
}


def layer_terms(method: str, profile: LayerProfile) -> dict[str, float]:
    """`forward` and `hessian`: multiply-adds of one pass of all tokens, and of their second moments.

    `input`: values that all tokens put into all modules.
    """
    return {
        "layer": 1.0,
        "module": sum(count for *_, count in profile.shapes),
        "column": profile.columns_together if method in WALKED else profile.columns,
        "weight": profile.weights,
        "input": profile.tokens * sum(columns * met for _, columns, met in _met(profile)),
        "forward": profile.tokens * sum(out * columns * met for out, columns, met in _met(profile)),
        "hessian": profile.tokens * sum(columns**2 * met for _, columns, met in _met(profile)),
    }


def _met(profile: LayerProfile) -> list[tuple[int, int, float]]:
    """Shapes, and how many matrices of each a token meets: experts count by how many are chosen."""
    share = profile.chosen / profile.experts if profile.experts else 1.0
    return [(o, i, n * share if 0 < profile.experts <= n else n) for o, i, n in profile.shapes]


def memory_terms(profile: LayerProfile, work: float = WORK) -> dict[str, float]:
    """`states`: of all tokens between two layers; `inputs`: of all tokens into every module of a layer.

    `work`: bytes that a portion of rows may take.
    """
    widest = max((max(out, columns) for out, columns, _ in profile.shapes), default=0)
    experts = [(columns, count) for _, columns, count in profile.shapes if 0 < profile.experts <= count]
    inputs = sum(columns * met for _, columns, met in _met(profile))
    return {
        "context": 1.0,
        "states": 2.0 * profile.tokens * profile.hidden,
        "inputs": 2.0 * profile.tokens * inputs,
        "square": 4.0 * max((columns for _, columns, _ in profile.shapes), default=0) ** 2,
        "expert_squares": 2.0 * sum(columns**2 * count for columns, count in experts),
        "weight": 4.0 * max((out * columns for out, columns, _ in profile.shapes), default=0),
        "layer": profile.layer_bytes,
        "resident": float(profile.resident_bytes),
        "total": float(profile.total_bytes),
        "work": min(work, 24.0 * profile.tokens * widest),
    }


def summed(factors: Mapping[str, float], terms: Mapping[str, float]) -> float:
    return sum(factor * terms[name] for name, factor in factors.items())


MIN_LIBRARIES = 800_000_000  # bytes resident once torch, transformers and gptqmodel are imported
# GPTAQ keeps the unquantized model's hidden states beside its own, and a second matrix beside the Hessian.
MIN_TWOFOLD = frozenset({"gptaq"})


def min_memory(target: Path, method: str, longest: int, tokens: int, device: str = "cpu") -> int:
    """Bytes that a layer-by-layer quantizer holds on `device` at its peak, a lower bound: no refusal may be wrong.

    The layers pass one by one, so they count by the largest weight: its fp32 copy, result and losses, and the
    Hessian with its inverse (in_features x in_features, fp32). Embeddings stay, and so does every token's
    hidden state, before and after the layer; but our own walk leaves both to the host where a GPU is small.
    """
    tensors = tensors_of(target)
    shapes = linear_shapes(target)
    squares = 3 if method in MIN_TWOFOLD else 2
    solve = max((4 * (3 * rows * columns + squares * columns**2) for rows, columns in shapes.values()), default=0)
    resident = sum(size for name, (_, _, size) in tensors.items() if name.removesuffix(".weight") not in shapes)
    hidden = min((columns for _, columns in shapes.values()), default=0)
    states = 2 * 2 * tokens * hidden * (2 if method in MIN_TWOFOLD else 1)
    if device == "cpu":
        return MIN_LIBRARIES + solve + resident + states + 4 * longest * hidden
    return solve + 4 * longest * hidden + (0 if method in WALKED else resident + states)


def min_host_memory(target: Path, method: str) -> int:
    """Bytes in the host's memory whatever the device: our own walk reads the whole model."""
    return MIN_LIBRARIES + (sum(size for _, _, size in tensors_of(target).values()) if method in WALKED else 0)


STARTUP = 18.0  # seconds until a worker has imported torch, transformers and gptqmodel, and saved its result
READING = 5e8  # bytes of the model a second: read and written
# On a CPU: rough work a second, for the mix of the terms below; resident bytes once everything is imported.
SPEEDS = {"forward": 6e10, "hessian": 6e10, "solve": 3e10, "column": 1e4}
LIBRARIES = 1_500_000_000
# Forward passes through a layer: once for each group of modules and once for what it hands on; GPTAQ runs the
# unquantized model beside it, AWQ searches twenty scales for each group.
PASSES = {"gptq": 5.0, "gptaq": 10.0, "awq": 25.0, "spqr": 3.5, "w8a8": 3.5}
TWOFOLD = frozenset({"gptaq"})
OTHER_GPU = math.log(1.5)  # how far a row of another GPU is, as a factor in size would be


@dataclass(frozen=True)
class QuantizationCost:
    seconds: float
    gpu_bytes: float  # 0 on a CPU
    host_bytes: float
    source: str  # what it rests on; empty: on nothing measured


def estimate(method: str, profile: LayerProfile, device: str, work: float = WORK, name: str = "") -> QuantizationCost:
    """`device`: cuda | cpu; `work`: bytes that a portion of rows may take on the GPU; `name`: the GPU's."""
    rows = _nearest(method, profile, device, name)
    layer, gpu, host = layer_seconds(method, profile, device), *_bytes(method, profile, device, work)
    if not rows:
        alone = STARTUP + profile.layers * layer + profile.total_bytes / READING
        return QuantizationCost(alone, gpu, host, "")
    seconds, gpus, hosts = [], [], []
    for row in rows:
        then = LayerProfile.from_json(row["profile"])
        old_gpu, old_host = _bytes(method, then, device, WORK)
        each = row["seconds_per_layer"] * layer / layer_seconds(method, then, device)
        around = row.get("seconds_before", 0.0) + (row.get("seconds_after") or 0.0)
        read = max(0.0, (profile.total_bytes - then.total_bytes) / READING)
        seconds.append(around + profile.layers * each + read)
        gpus.append(gpu * row["gpu_bytes"] / old_gpu if row.get("gpu_bytes") and old_gpu else gpu)
        hosts.append(host * row["host_bytes"] / old_host if row.get("host_bytes") else host)
    first = rows[0]
    source = f"{first['model']} on {first['device_name']}, {first['date']}"
    return QuantizationCost(fmean(seconds), fmean(gpus), fmean(hosts), source)


def layer_seconds(method: str, profile: LayerProfile, device: str) -> float:
    """By the formula alone."""
    if device == "cuda":
        return summed(SECONDS[method], layer_terms(method, profile))
    attention = 2 * profile.longest * profile.hidden  # multiply-adds a token, scores and values
    forward = 2 * PASSES[method] * profile.tokens * (profile.weights * profile.active + attention)
    # Inputs that are seen by a share of the tokens only cost that share.
    hessian = 2 * profile.tokens * profile.active * sum(i * i * n for _, i, n in profile.shapes)
    solve = sum((i * i * o + 2 * i**3) * n for o, i, n in profile.shapes)
    columns = profile.columns_together if method in WALKED else profile.columns
    work = {"forward": forward, "hessian": hessian, "solve": solve, "column": columns}
    if method == "awq":
        work |= {"hessian": 0.0, "solve": 0.0, "column": 0.0}
    return sum(amount / SPEEDS[term] for term, amount in work.items())


def _bytes(method: str, profile: LayerProfile, device: str, work: float) -> tuple[float, float]:
    """On the GPU and on the host."""
    if device == "cuda":
        terms = memory_terms(profile, work)
        return summed(GPU[method], terms), summed(HOST[method], terms)
    fold = 2 if method in TWOFOLD else 1
    largest = max(((o, i) for o, i, _ in profile.shapes), key=lambda s: s[0] * s[1], default=(0, 0))
    square = max((i for _, i, _ in profile.shapes), default=0) ** 2
    solve = 4.0 * (3 * largest[0] * largest[1] + (2 + fold) * square)
    experts = 4.0 * profile.experts * min((i for _, i, n in profile.shapes), default=0) ** 2
    states = 2.0 * 2 * fold * profile.tokens * profile.hidden
    working = solve + experts + states + 2 * profile.layer_bytes + 40.0 * profile.longest * profile.hidden
    # Our own walk reads the whole model into host memory; gptqmodel reads a layer at a time.
    kept = profile.total_bytes if method in WALKED else profile.resident_bytes + profile.total_bytes / 3
    return 0.0, LIBRARIES + kept + 2 * working


@cache
def costs() -> tuple[dict[str, Any], ...]:
    """The measured rows."""
    return tuple(read_costs()["measured"])


def read_costs() -> dict[str, Any]:
    """The data file: `measured`, and `kept_apart`: rows of which no estimate knows, to test it by."""
    text = (files("faq_tui.core") / "data" / "quantize_costs.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text)
    return body


def _nearest(method: str, profile: LayerProfile, device: str, name: str) -> list[dict[str, Any]]:
    """All of one model on one device, of the same method and kind; dense and mixture apart where that can be."""
    rows = [row for row in costs() if row["method"] == method and row["device"] == device]
    alike = [row for row in rows if bool(row["profile"]["experts"]) == bool(profile.experts)] or rows

    def distance(row: dict[str, Any]) -> float:
        other = LayerProfile.from_json(row["profile"])
        ratio = layer_seconds(method, profile, device) / layer_seconds(method, other, device)
        far = OTHER_GPU if name and row["device_name"] != name else 0.0
        return far + abs(math.log(ratio)) + 0.1 * abs(math.log(max(1, profile.layers) / max(1, other.layers)))

    def series(row: dict[str, Any]) -> tuple[str, str]:
        return row["model"], row["device_name"]

    nearest = min(alike, key=distance, default=None)
    return [row for row in alike if nearest is not None and series(row) == series(nearest)]
