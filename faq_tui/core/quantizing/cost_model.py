"""What a quantization costs: how long it will take and what memory it will need.

On CUDA time and memory are sums of terms. Their factors belong to each method (`MethodCost`) and were fitted to rows
that benchmarks/cuda_scale.py measured, by least squares of relative errors with no factor below zero. On the rows
that they were fitted to, the sums are within a quarter; `estimate` scales them by the nearest measured row. On a CPU
a few rough speeds take their place. `min_memory` and `min_host_memory` are lower bounds, by which a job is refused.
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

WORK = 9_400_000_000  # bytes that a portion of rows may take on the GPU that was measured: a sixteenth of it


@dataclass(frozen=True)
class MethodCost:
    """What a method's time and memory depend on.

    The first three are factors of sums: seconds a layer on a GPU for each unit of `layer_terms`, bytes on the GPU and
    on the host for each unit of `memory_terms`. The defaults are those of a method that loads the whole model and
    solves the matrices of one shape together, and are a rough guess for any other; a method without measured rows in
    data/quantize_costs.json is estimated by the sums alone, and the estimate says so.
    """

    seconds: Mapping[str, float] = field(
        default_factory=lambda: {"module": 0.0025, "column": 2e-4, "forward": 4e-14, "weight": 2e-9}
    )
    gpu_bytes: Mapping[str, float] = field(
        default_factory=lambda: {"context": 0.77e9, "square": 9.9, "layer": 8.1, "work": 0.6}
    )
    host_bytes: Mapping[str, float] = field(default_factory=lambda: {"context": 2.1e9, "total": 1.0, "layer": 1.2})
    passes: float = 3.5  # forward passes through a layer: one a group of modules, and one for its output
    # The method reads the whole model into host memory (sequential/), and solves matrices of one shape together;
    # gptqmodel reads a layer at a time and solves one matrix after the other.
    whole_model: bool = False
    # The method keeps the unquantized model's hidden states beside its own, and a second matrix beside the Hessian.
    twofold: bool = False
    solves: bool = True  # the method computes Hessians and walks over the columns by them


def cost_of(method: str) -> MethodCost:
    """Raises UsageError if there is no such method."""
    cost: MethodCost = METHODS.get(method).cost
    return cost


def layer_terms(cost: MethodCost, profile: LayerProfile) -> dict[str, float]:
    """`forward` and `hessian`: multiply-adds of one pass of all tokens, and of their second moments.

    `input`: values that all tokens put into all modules.
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


# Bytes of host memory once torch, transformers and gptqmodel are imported. Two numbers for two questions: a refusal
# must never be wrong, so it counts what every version takes; an estimate counts what is usual.
LIBRARIES_AT_LEAST = 800_000_000
LIBRARIES_USUALLY = 1_500_000_000


def min_memory(target: Path, method: str, longest: int, tokens: int, device: str = "cpu") -> int:
    """Bytes that a layer-by-layer quantizer holds on `device` at its peak, a lower bound: no refusal may be wrong.

    The layers pass one by one, so they count by the largest weight: its fp32 copy, result and losses, and the
    Hessian with its inverse (in_features x in_features, fp32). Embeddings stay, and so does every token's
    hidden state, before and after the layer; but our own walk leaves both to the host where a GPU is small.
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
    """Bytes in the host's memory whatever the device: our own walk reads the whole model."""
    whole = cost_of(method).whole_model
    return LIBRARIES_AT_LEAST + (sum(size for _, _, size in tensors_of(target).values()) if whole else 0)


STARTUP = 18.0  # seconds until a worker has imported torch, transformers and gptqmodel, and saved its result
READING = 5e8  # bytes of the model a second: read and written
# On a CPU: rough work a second, for the mix of the terms below; resident bytes once everything is imported.
SPEEDS = {"forward": 6e10, "hessian": 6e10, "solve": 3e10, "column": 1e4}
OTHER_GPU = math.log(1.5)  # how far a row of another GPU is, as a factor in size would be


@dataclass(frozen=True)
class QuantizationCost:
    seconds: float
    gpu_bytes: float  # 0 on a CPU
    host_bytes: float
    source: str  # what it rests on; empty: on nothing measured


def estimate_recipe(
    recipe: Recipe, profile: LayerProfile, device: str, work: float = WORK, name: str = ""
) -> QuantizationCost:
    """The cost of one artefact of `recipe`; the other arguments as `estimate` has them."""
    return estimate(recipe.method, METHODS.get(recipe.method).workload(recipe, profile), device, work, name)


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
    count = len(rows)
    return QuantizationCost(sum(seconds) / count, sum(gpus) / count, sum(hosts) / count, source)


def layer_seconds(method: str, profile: LayerProfile, device: str) -> float:
    """By the formula alone."""
    cost = cost_of(method)
    if device == "cuda":
        return summed(cost.seconds, layer_terms(cost, profile))
    attention = 2 * profile.longest * profile.hidden  # multiply-adds a token, scores and values
    forward = 2 * cost.passes * profile.tokens * (profile.weights * profile.active + attention)
    # Inputs that are seen by a share of the tokens only cost that share.
    hessian = 2 * profile.tokens * profile.active * sum(i * i * n for _, i, n in profile.shapes)
    solve = sum((i * i * o + 2 * i**3) * n for o, i, n in profile.shapes)
    columns = profile.columns_together if cost.whole_model else profile.columns
    work = {"forward": forward, "hessian": hessian, "solve": solve, "column": columns}
    if not cost.solves:
        work |= {"hessian": 0.0, "solve": 0.0, "column": 0.0}
    return sum(amount / SPEEDS[term] for term, amount in work.items())


def _bytes(method: str, profile: LayerProfile, device: str, work: float) -> tuple[float, float]:
    """On the GPU and on the host."""
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
