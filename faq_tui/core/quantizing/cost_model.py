"""Estimate the time and memory of a quantization.

On CUDA, time and memory are sums of terms, with separate factors for each method (`MethodCost`). The factors were
fitted to measurements of benchmarks/cuda_scale.py. `estimate` then scales the sums, so that they fit the most similar
measurement. The results of `estimate` differ from the measured values by at most 25%. The engine of sequential/ (the
walk) was measured on only one or two models per method. These measurements are too few to fit all factors of the
walk, so some of these factors are assumed values. For a CPU, the estimate uses a few rough speeds instead of factors.
`min_memory` and `min_host_memory` compute how much memory a job needs at least. A job with less memory is refused.

A cost key (`Method.cost_key`) identifies the factors and the measured rows. The cost key is usually the name of the
method, for example `gptq`. If an engine of the method has its own factors, the key also names the engine, for example
`gptq@walk`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from faq_tui.core.extensions import METHODS
from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.settings.recipe import Recipe

# GPU memory in bytes that one batch of rows may take. The costs were measured on a GPU whose memory is sixteen times
# larger.
WORK = 9_400_000_000


@dataclass(frozen=True)
class MethodCost:
    """The factors from which a method's time and memory are estimated.

    `seconds` gives a factor for each term of `layer_terms`: the GPU seconds that one unit of the term takes in each
    layer. `gpu_bytes` and `host_bytes` give factors for terms of `memory_terms`: the bytes that one unit of the term
    takes. The defaults are a rough guess for a method that reads the whole model. If data/quantize_costs.json has no
    measured rows for a cost key, the estimate uses only the sums of terms, and its `source` is empty.
    """

    seconds: Mapping[str, float] = field(
        default_factory=lambda: {"module": 0.0025, "column": 2e-4, "forward": 4e-14, "weight": 2e-9}
    )
    gpu_bytes: Mapping[str, float] = field(
        default_factory=lambda: {"context": 0.77e9, "square": 9.9, "layer": 8.1, "work": 0.6}
    )
    host_bytes: Mapping[str, float] = field(default_factory=lambda: {"context": 2.1e9, "total": 1.0, "layer": 1.2})
    passes: float = (
        3.5  # number of forward passes through a layer: one for each group of modules, and one for the layer's output
    )
    whole_model: bool = False  # True if the method always reads the whole model into host memory

    # True for the methods in sequential/, which read one layer at a time, and solve matrices of the same shape
    # together. If the GPU is small, the methods in sequential/ keep the hidden states in host memory. (gptqmodel
    # solves one matrix after the other.)
    walk: bool = False
    # True if the method also stores the hidden states of the unquantized model, and a second matrix for each Hessian.
    # The second matrix has the size of the Hessian.
    twofold: bool = False
    solves: bool = True  # True if the method computes Hessians and uses them to quantize column by column


def cost_of(key: str) -> MethodCost:
    """The factors of the cost key `key`. Raises UsageError if the key names an unknown method."""
    name, _, engine = key.partition("@")
    method = METHODS.get(name)
    cost: MethodCost = method.engine_costs[engine] if engine else method.cost
    return cost


def layer_terms(cost: MethodCost, profile: LayerProfile) -> dict[str, float]:
    """The quantities on which the time of one layer depends, keyed by name.

    `forward` is the number of multiply-adds when all tokens pass through the layer once. `hessian` is the number of
    multiply-adds for the second moments of the modules' inputs. `input` is the number of values that enter the
    modules.
    """
    return {
        "layer": 1.0,
        "module": sum(count for *_, count in profile.shapes),
        "column": profile.columns_together if cost.walk else profile.columns,
        "weight": profile.weights,
        "input": profile.tokens * sum(columns * met for _, columns, met in _met(profile)),
        "forward": profile.tokens * sum(out * columns * met for out, columns, met in _met(profile)),
        "hessian": profile.tokens * sum(columns**2 * met for _, columns, met in _met(profile)),
    }


def _met(profile: LayerProfile) -> list[tuple[int, int, float]]:
    """For each shape of weight matrix, return (out, in, number of matrices of this shape that process one token).

    Only the experts that the router chooses are counted.
    """
    share = profile.chosen / profile.experts if profile.experts else 1.0
    return [(o, i, n * share if 0 < profile.experts <= n else n) for o, i, n in profile.shapes]


def memory_terms(profile: LayerProfile, work: float = WORK) -> dict[str, float]:
    """The quantities on which the memory of a quantization depends, keyed by name.

    `states` is the size of all tokens' hidden states between two layers. The walk of sequential/ keeps these states
    on the GPU (`gpu_states`). If the states take more than a sixth of the GPU's free memory, the walk keeps them in
    host memory (`host_states`). `inputs` is the size of the inputs of all modules in a layer. `work` is the number of
    bytes that a batch of rows may take. Callers pass a sixteenth of the free memory as `work`.
    """
    states = 2.0 * profile.tokens * profile.hidden
    on_gpu = 6 * states < 16 * work
    widest = max((max(out, columns) for out, columns, _ in profile.shapes), default=0)
    experts = [(columns, count) for _, columns, count in profile.shapes if 0 < profile.experts <= count]
    inputs = sum(columns * met for _, columns, met in _met(profile))
    return {
        "context": 1.0,
        "states": states,
        "gpu_states": states if on_gpu else 0.0,
        "host_states": 0.0 if on_gpu else states,
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


# Host memory in bytes after torch, transformers and gptqmodel are imported. The memory check must never refuse a job
# that could run, so it uses the smallest amount that any version of these libraries takes. Estimates use the amount
# that these libraries usually take.
LIBRARIES_AT_LEAST = 800_000_000
LIBRARIES_USUALLY = 1_500_000_000


def min_memory(target: Path, key: str, longest: int, tokens: int, device: str = "cpu") -> int:
    """The memory in bytes that the job needs at least on `device`. A job that has less memory is refused.

    `key` is the job's cost key. Layers are loaded one by one, so the bound counts only the largest weight matrix. For
    this matrix, the method also needs a copy in float32, the result, the losses, the Hessian and the inverse of the
    Hessian. The Hessian and its inverse have the shape in_features x in_features, in float32. The embeddings and the
    hidden states of all tokens, before and after the layer, also stay in memory. The methods in sequential/ need
    less: if the GPU is small, they keep the hidden states in host memory. The methods in sequential/ read embeddings
    as memory-mapped files, which are not counted here.
    """
    cost, tensors, shapes = cost_of(key), tensors_of(target), linear_shapes(target)
    squares = 3 if cost.twofold else 2
    solve = max((4 * (3 * rows * columns + squares * columns**2) for rows, columns in shapes.values()), default=0)
    resident = sum(size for name, (_, _, size) in tensors.items() if name.removesuffix(".weight") not in shapes)
    hidden = min((columns for _, columns in shapes.values()), default=0)
    states = 2 * 2 * tokens * hidden * (2 if cost.twofold else 1)
    if device == "cpu":
        return LIBRARIES_AT_LEAST + solve + (0 if cost.walk else resident) + states + 4 * longest * hidden
    return solve + 4 * longest * hidden + (0 if cost.walk else resident + states)


def min_host_memory(target: Path, key: str) -> int:
    """The host memory in bytes that the job needs at least, on any device. `key` is the job's cost key."""
    whole = cost_of(key).whole_model
    return LIBRARIES_AT_LEAST + (sum(size for _, _, size in tensors_of(target).values()) if whole else 0)


STARTUP = 18.0  # seconds that a worker needs to import torch, transformers and gptqmodel, and to save its result
# On a GPU, a worker of the walk makes several artefacts, and needs its start only once. Before the first layer of
# each further artefact, it needs WARM_STARTUP seconds (0.7 s were measured on an H200).
WARM_STARTUP = 1.0
READING = 5e8  # speed of reading and writing the model, in bytes per second

# Rough speeds of a CPU: for each term in `layer_seconds`, the number of units per second.
SPEEDS = {"forward": 6e10, "hessian": 6e10, "solve": 3e10, "column": 1e4}
# On a CPU, a child of the walk is forked from a process that has imported the libraries, and it reuses the outputs of
# finished modules (`KeptOutputs`). It therefore needs fewer seconds before the first layer, and fewer forward
# passes. WALK_SPEED is the number by which the speeds above are multiplied for the walk. On two cores of an AMD EPYC
# with AVX-512, the walk was about twice as fast as this estimate.
WALK_STARTUP, WALK_PASSES, WALK_SPEED = 6.0, 2.0, 2.5
# Each measured row has a distance from the job, and the nearest rows are used. If the estimate for the job is 1.5
# times the measured time of the row, the distance is log(1.5). OTHER_GPU is added to the distance of a row that was
# measured on another GPU than the job's.
OTHER_GPU = math.log(1.5)


@dataclass(frozen=True)
class QuantizationCost:
    seconds: float
    gpu_bytes: float  # memory on each of `gpus` GPUs; 0 if the job runs on a CPU
    host_bytes: float
    source: str  # name of the measured run on which the estimate is based; empty if there is none
    startup: float = 0.0  # the part of `seconds` that a worker needs only for the first of its artefacts
    gpus: int = 1  # number of GPUs that make the artefact together
    # True if the job also keeps outputs in free memory of the GPU, so that it is faster (see kept_outputs.py).
    uses_more: bool = False


def estimate_recipe(
    recipe: Recipe, profile: LayerProfile, device: str, work: float = WORK, name: str = "", gpus: int = 1
) -> QuantizationCost:
    """Estimate the cost of one artefact of `recipe`. The other arguments have the same meaning as in `estimate`."""
    method = METHODS.get(recipe.method)
    return estimate(method.cost_key(recipe, profile), method.workload(recipe, profile), device, work, name, gpus)


def estimate(
    key: str, profile: LayerProfile, device: str, work: float = WORK, name: str = "", gpus: int = 1
) -> QuantizationCost:
    """The cost of one quantization.

    `key` is a cost key. `device` is "cuda" or "cpu". `work` is the number of bytes that a batch of rows may take on
    the GPU. `name` is the name of the GPU. `gpus` is the number of GPUs that make the artefact together. The walk
    divides the tokens over them: each GPU needs a layer, its Hessians, and its share of the hidden states. The time
    does not become shorter: with two GPUs, the same time was measured as with one
    (benchmarks/results/2026-11-30-several-gpus-h200.md). For other engines, `gpus` changes nothing, because they were
    measured on one GPU only.
    """
    rows, walk = _nearest(key, profile, device, name), cost_of(key).walk
    walk_on_gpu = walk and device == "cuda"
    together = gpus if walk_on_gpu else 1
    share = replace(profile, tokens=-(-profile.tokens // together))
    layer, (gpu, _) = layer_seconds(key, profile, device), _bytes(key, share, device, work)
    # The hidden states of all shares are in host memory if a share does not fit on its GPU.
    host = _bytes(key, profile, device, work * profile.tokens / max(1, share.tokens))[1]
    if not rows:
        startup = WALK_STARTUP if device == "cpu" and walk else STARTUP
        alone = startup + profile.layers * layer + profile.total_bytes / READING
        start = startup - WARM_STARTUP if walk_on_gpu else 0.0
        return QuantizationCost(alone, gpu, host, "", start, together, walk_on_gpu)
    seconds, starts, on_gpu, on_host = list[float](), list[float](), list[float](), list[float]()
    for row in rows:
        then = LayerProfile.from_json(row["profile"])
        old_gpu, old_host = _bytes(key, then, device, WORK)
        each = row["seconds_per_layer"] * layer / layer_seconds(key, then, device)
        before = row.get("seconds_before", 0.0)
        starts.append(max(0.0, before - WARM_STARTUP) if walk_on_gpu else 0.0)
        around = before + (row.get("seconds_after") or 0.0)
        read = max(0.0, (profile.total_bytes - then.total_bytes) / READING)
        seconds.append(around + profile.layers * each + read)
        on_gpu.append(gpu * row["gpu_bytes"] / old_gpu if row.get("gpu_bytes") and old_gpu else gpu)
        on_host.append(host * row["host_bytes"] / old_host if row.get("host_bytes") else host)
    first = rows[0]
    source = f"{first['model']} on {first['device_name']}, {first['date']}"
    count = len(rows)
    startup = sum(starts) / count
    means = (sum(seconds) / count, sum(on_gpu) / count, sum(on_host) / count)
    return QuantizationCost(*means, source, startup, together, walk_on_gpu)


def layer_seconds(key: str, profile: LayerProfile, device: str) -> float:
    """Seconds per layer, computed from the factors and terms. Measured rows are not used."""
    cost = cost_of(key)
    if device == "cuda":
        return summed(cost.seconds, layer_terms(cost, profile))
    attention = 2 * profile.longest * profile.hidden  # number of multiply-adds per token that compute attention
    passes = WALK_PASSES if cost.walk else cost.passes
    forward = 2 * passes * profile.tokens * (profile.weights * profile.active + attention)
    # If a module gets only a share of the tokens, its cost is multiplied by the share (`profile.active`).
    hessian = 2 * profile.tokens * profile.active * sum(i * i * n for _, i, n in profile.shapes)
    solve = sum((i * i * o + 2 * i**3) * n for o, i, n in profile.shapes)
    columns = profile.columns_together if cost.walk else profile.columns
    work = {"forward": forward, "hessian": hessian, "solve": solve, "column": columns}
    if not cost.solves:
        work |= {"hessian": 0.0, "solve": 0.0, "column": 0.0}
    return sum(amount / SPEEDS[term] for term, amount in work.items()) / (WALK_SPEED if cost.walk else 1.0)


def _bytes(key: str, profile: LayerProfile, device: str, work: float) -> tuple[float, float]:
    """The peak memory on the GPU and on the host, in bytes."""
    cost = cost_of(key)
    if device == "cuda":
        terms = memory_terms(profile, work)
        return summed(cost.gpu_bytes, terms), summed(cost.host_bytes, terms)
    fold = 2 if cost.twofold else 1
    largest = max(((o, i) for o, i, _ in profile.shapes), key=lambda s: s[0] * s[1], default=(0, 0))
    square = max((i for _, i, _ in profile.shapes), default=0) ** 2
    solve = 4.0 * (3 * largest[0] * largest[1] + (2 + fold) * square)
    # The walk keeps the Hessians of all experts of a layer: those of the widest inputs take the most memory.
    widths = [i for _, i, n in profile.shapes if 0 < profile.experts <= n] or [0]
    experts = 4.0 * profile.experts * (max(widths) if cost.walk else min(widths)) ** 2
    states = 2.0 * 2 * fold * profile.tokens * profile.hidden
    working = solve + experts + states + 2 * profile.layer_bytes + 40.0 * profile.longest * profile.hidden
    kept = profile.resident_bytes + (0 if cost.walk else profile.total_bytes / 3)
    return 0.0, LIBRARIES_USUALLY + (profile.total_bytes if cost.whole_model else kept) + 2 * working


@cache
def costs() -> tuple[dict[str, Any], ...]:
    """The measured quantizations on which the estimates are based."""
    return tuple(read_costs()["measured"])


def read_costs() -> dict[str, Any]:
    """Read the data file of measured quantizations.

    The estimates use the rows of `measured`. `kept_apart` has rows that only the tests of the estimates use. In a
    row, the value of `method` is the cost key.
    """
    text = (files("faq_tui.core") / "data" / "quantize_costs.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text)
    return body


def _nearest(key: str, profile: LayerProfile, device: str, name: str) -> list[dict[str, Any]]:
    """The measured rows that are most similar to the job. All rows in the result come from one model and one GPU.

    A dense model is compared with dense models, and a mixture of experts with mixtures of experts. If no model of the
    same type was measured, all rows are used.
    """
    rows = [row for row in costs() if row["method"] == key and row["device"] == device]
    alike = [row for row in rows if bool(row["profile"]["experts"]) == bool(profile.experts)] or rows

    def distance(row: dict[str, Any]) -> float:
        other = LayerProfile.from_json(row["profile"])
        ratio = layer_seconds(key, profile, device) / layer_seconds(key, other, device)
        far = OTHER_GPU if name and row["device_name"] != name else 0.0
        return far + abs(math.log(ratio)) + 0.1 * abs(math.log(max(1, profile.layers) / max(1, other.layers)))

    def series(row: dict[str, Any]) -> tuple[str, str]:
        return row["model"], row["device_name"]

    nearest = min(alike, key=distance, default=None)
    return [row for row in alike if nearest is not None and series(row) == series(nearest)]
