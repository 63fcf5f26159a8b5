"""Estimate the time and memory of a quantization.

On CUDA, time and memory are sums of terms, with separate factors for each method (`MethodCost`). The factors were
fitted to measurements of benchmarks/cuda_scale.py by non-negative least squares of the relative errors. The sums are
within 25% of these measurements. `estimate` scales them by the most similar measurement. On a CPU, a few rough speeds
are used instead. `min_memory` and `min_host_memory` are lower bounds: a job that has less memory is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from faq_tui.core.extensions import METHODS
from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.settings.recipe import Recipe

WORK = 9_400_000_000  # bytes that a batch of rows may take: a sixteenth of the measured GPU


@dataclass(frozen=True)
class MethodCost:
    """The factors of a method's time and memory.

    `seconds` holds GPU seconds per layer and unit of `layer_terms`; `gpu_bytes` and `host_bytes` hold bytes per unit
    of `memory_terms`. The defaults fit a method that loads the whole model and solves matrices of one shape together,
    and are a rough guess for any other method. If data/quantize_costs.json has no rows of a method, its estimate uses
    the sums alone and says so.
    """

    seconds: Mapping[str, float] = field(
        default_factory=lambda: {"module": 0.0025, "column": 2e-4, "forward": 4e-14, "weight": 2e-9}
    )
    gpu_bytes: Mapping[str, float] = field(
        default_factory=lambda: {"context": 0.77e9, "square": 9.9, "layer": 8.1, "work": 0.6}
    )
    host_bytes: Mapping[str, float] = field(default_factory=lambda: {"context": 2.1e9, "total": 1.0, "layer": 1.2})
    passes: float = 3.5  # forward passes through a layer: one per group of modules, and one for its output
    # The method reads the whole model into host memory (sequential/), and solves matrices of one shape together;
    # gptqmodel reads a layer at a time and solves one matrix after the other.
    whole_model: bool = False
    # The method keeps the unquantized model's hidden states beside its own, and a second matrix beside the Hessian.
    twofold: bool = False
    solves: bool = True  # the method computes Hessians and walks over the columns by them


def cost_of(method: str) -> MethodCost:
    """The cost factors of a method. Raises UsageError if there is no such method."""
    cost: MethodCost = METHODS.get(method).cost
    return cost


def layer_terms(cost: MethodCost, profile: LayerProfile) -> dict[str, float]:
    """The terms that the seconds of one layer depend on, by name.

    `forward` and `hessian` are the multiply-adds of one forward pass of all tokens and of their second moments.
    `input` is the number of values that enter the modules.
    """
    return {
        "layer": 1.0,
        "module": sum(count for *_, count in profile.shapes),
        "column": profile.columns_together if cost.whole_model else profile.columns,
        "weight": profile.weights,
        "input": profile.tokens * sum(columns * met for _, columns, met in _met(profile)),
        "forward": profile.tokens * sum(out * columns * met for out, columns, met in _met(profile)),
        "hessian": profile.tokens * sum(columns**2 * met for _, columns, met in _met(profile)),
    }


def _met(profile: LayerProfile) -> list[tuple[int, int, float]]:
    """(out, in, matrices that one token passes through) of each shape. Of the experts only the chosen ones count."""
    share = profile.chosen / profile.experts if profile.experts else 1.0
    return [(o, i, n * share if 0 < profile.experts <= n else n) for o, i, n in profile.shapes]


def memory_terms(profile: LayerProfile, work: float = WORK) -> dict[str, float]:
    """The terms that the memory of a quantization depends on, by name.

    `states` are the hidden states of all tokens between two layers, `inputs` those that enter every module of a
    layer. `work` is the bytes that a batch of rows may take.
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


# Bytes of host memory once torch, transformers and gptqmodel are imported. A refusal must never
# be wrong, so it uses the least that any version takes. An estimate uses the usual amount.
LIBRARIES_AT_LEAST = 800_000_000
LIBRARIES_USUALLY = 1_500_000_000


def min_memory(target: Path, method: str, longest: int, tokens: int, device: str = "cpu") -> int:
    """Lower bound of the peak memory of a layer-by-layer quantizer on `device`, in bytes; a job is refused below it.

    Layers are loaded one by one, so only the largest weight counts: its fp32 copy, result and losses, and the
    Hessian with its inverse (in_features x in_features, fp32). Embeddings stay in memory, as does every token's
    hidden state before and after the layer. Our own walk keeps both on the host if the GPU is small.
    """
    cost, tensors, shapes = cost_of(method), tensors_of(target), linear_shapes(target)
    squares = 3 if cost.twofold else 2
    solve = max((4 * (3 * rows * columns + squares * columns**2) for rows, columns in shapes.values()), default=0)
    resident = sum(size for name, (_, _, size) in tensors.items() if name.removesuffix(".weight") not in shapes)
    hidden = min((columns for _, columns in shapes.values()), default=0)
    states = 2 * 2 * tokens * hidden * (2 if cost.twofold else 1)
    if device == "cpu":
        return LIBRARIES_AT_LEAST + solve + resident + states + 4 * longest * hidden
    return solve + 4 * longest * hidden + (0 if cost.whole_model else resident + states)


def min_host_memory(target: Path, method: str) -> int:
    """Lower bound of host memory in bytes, for any device. Our own walk reads the whole model."""
    whole = cost_of(method).whole_model
    return LIBRARIES_AT_LEAST + (sum(size for _, _, size in tensors_of(target).values()) if whole else 0)


STARTUP = 18.0  # seconds until a worker has imported torch, transformers and gptqmodel, and saved its result
READING = 5e8  # bytes of the model per second, to read and to write
# Rough work per second on a CPU, for the terms of `layer_seconds`.
SPEEDS = {"forward": 6e10, "hessian": 6e10, "solve": 3e10, "column": 1e4}
OTHER_GPU = math.log(1.5)  # a row measured on another GPU counts as far as a job 1.5 times as large


@dataclass(frozen=True)
class QuantizationCost:
    seconds: float
    gpu_bytes: float  # is 0 if the device is a CPU
    host_bytes: float
    source: str  # the measured run that the estimate is based on; empty if there is none


def estimate_recipe(
    recipe: Recipe, profile: LayerProfile, device: str, work: float = WORK, name: str = ""
) -> QuantizationCost:
    """The cost of one artefact of `recipe`. The other arguments are those of `estimate`."""
    return estimate(recipe.method, METHODS.get(recipe.method).workload(recipe, profile), device, work, name)


def estimate(method: str, profile: LayerProfile, device: str, work: float = WORK, name: str = "") -> QuantizationCost:
    """The cost of one quantization.

    `device` is "cuda" or "cpu", `work` the bytes that a batch of rows may take on the GPU, `name` the name of the
    GPU.
    """
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
    count = len(rows)
    return QuantizationCost(sum(seconds) / count, sum(gpus) / count, sum(hosts) / count, source)


def layer_seconds(method: str, profile: LayerProfile, device: str) -> float:
    """Seconds per layer by the formula alone, without measured rows."""
    cost = cost_of(method)
    if device == "cuda":
        return summed(cost.seconds, layer_terms(cost, profile))
    attention = 2 * profile.longest * profile.hidden  # multiply-adds per token for attention scores and values
    forward = 2 * cost.passes * profile.tokens * (profile.weights * profile.active + attention)
    # A module that only a share of the tokens reaches costs only that share.
    hessian = 2 * profile.tokens * profile.active * sum(i * i * n for _, i, n in profile.shapes)
    solve = sum((i * i * o + 2 * i**3) * n for o, i, n in profile.shapes)
    columns = profile.columns_together if cost.whole_model else profile.columns
    work = {"forward": forward, "hessian": hessian, "solve": solve, "column": columns}
    if not cost.solves:
        work |= {"hessian": 0.0, "solve": 0.0, "column": 0.0}
    return sum(amount / SPEEDS[term] for term, amount in work.items())


def _bytes(method: str, profile: LayerProfile, device: str, work: float) -> tuple[float, float]:
    """Peak bytes on the GPU and on the host."""
    cost = cost_of(method)
    if device == "cuda":
        terms = memory_terms(profile, work)
        return summed(cost.gpu_bytes, terms), summed(cost.host_bytes, terms)
    fold = 2 if cost.twofold else 1
    largest = max(((o, i) for o, i, _ in profile.shapes), key=lambda s: s[0] * s[1], default=(0, 0))
    square = max((i for _, i, _ in profile.shapes), default=0) ** 2
    solve = 4.0 * (3 * largest[0] * largest[1] + (2 + fold) * square)
    experts = 4.0 * profile.experts * min((i for _, i, n in profile.shapes), default=0) ** 2
    states = 2.0 * 2 * fold * profile.tokens * profile.hidden
    working = solve + experts + states + 2 * profile.layer_bytes + 40.0 * profile.longest * profile.hidden
    # Our own walk reads the whole model into host memory; gptqmodel reads a layer at a time.
    kept = profile.total_bytes if cost.whole_model else profile.resident_bytes + profile.total_bytes / 3
    return 0.0, LIBRARIES_USUALLY + kept + 2 * working


@cache
def costs() -> tuple[dict[str, Any], ...]:
    """The measured rows."""
    return tuple(read_costs()["measured"])


def read_costs() -> dict[str, Any]:
    """The data file.

    `measured` feeds the estimates; `kept_apart` has rows that only the tests of the estimates use.
    """
    text = (files("faq_tui.core") / "data" / "quantize_costs.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text)
    return body


def _nearest(method: str, profile: LayerProfile, device: str, name: str) -> list[dict[str, Any]]:
    """All measured rows of the model and GPU most similar to `profile`.

    Dense and mixture models are not mixed if possible.
    """
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
