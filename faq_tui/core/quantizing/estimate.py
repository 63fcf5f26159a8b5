"""How long a recipe will take and what memory it will need, before it starts.

A formula says how cost grows with shapes and tokens; the measured run nearest in size, on the same kind of device,
says how much that is in seconds and bytes. Its rows are in core/data/quantize_costs.json: benchmarks/cuda_scale.py
writes them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from faq_tui.core.quantizing.profile import Profile

GPU_CONTEXT = 600_000_000  # bytes that CUDA and its libraries take before any tensor
LIBRARIES = 1_500_000_000  # resident bytes of a worker that has imported torch, transformers and gptqmodel
# Rough work a second, for the mix of the terms below; what is measured sets the level.
SPEEDS = {
    "cuda": {"forward": 2e14, "hessian": 3e13, "solve": 1e13, "column": 1e4},
    "cpu": {"forward": 6e10, "hessian": 6e10, "solve": 3e10, "column": 1e4},
}
# Forward passes through a layer: once for each group of modules and once for what it hands on; GPTAQ runs the
# unquantized model beside it, AWQ searches twenty scales for each group.
PASSES = {"gptq": 5.0, "gptaq": 10.0, "awq": 25.0, "spqr": 3.5, "w8a8": 3.5}
# The methods of our own walk read the whole model into host memory; gptqmodel reads a layer at a time.
WALKED = frozenset({"spqr", "w8a8"})
TWOFOLD = frozenset({"gptaq"})


@dataclass(frozen=True)
class Estimate:
    seconds: float
    gpu_bytes: float  # 0 on a CPU
    host_bytes: float
    source: str  # what it rests on; empty: on nothing measured


def estimate(method: str, profile: Profile, device: str) -> Estimate:
    """`device`: cuda | cpu."""
    near = _nearest(method, profile, device)
    seconds, gpu, host = _formula(method, profile, device)
    if near is None:
        return Estimate(seconds, gpu, host, "")
    then = Profile.from_json(near["profile"])
    old_seconds, old_gpu, old_host = _formula(method, then, device)
    measured = near["seconds_per_layer"] * then.layers + near.get("seconds_before", 0.0)
    return Estimate(
        seconds * measured / old_seconds,
        gpu * near["gpu_bytes"] / old_gpu if near.get("gpu_bytes") and old_gpu else gpu,
        host * near["host_bytes"] / old_host if near.get("host_bytes") else host,
        f"{near['model']} on {near['device_name']}, {near['date']}",
    )


def layer_seconds(method: str, profile: Profile, device: str) -> float:
    """By the formula alone."""
    speed = SPEEDS[device]
    weights = profile.weights * profile.active
    attention = 2 * profile.longest * profile.hidden  # multiply-adds a token, scores and values
    forward = 2 * PASSES[method] * profile.tokens * (weights + attention)
    # Inputs that are seen by a share of the tokens only cost that share.
    hessian = 2 * profile.tokens * profile.active * sum(i * i * n for _, i, n in profile.shapes)
    solve = sum((i * i * o + 2 * i**3) * n for o, i, n in profile.shapes)
    columns = profile.columns_together if method in WALKED else profile.columns
    work = {"forward": forward, "hessian": hessian, "solve": solve, "column": columns}
    if method == "awq":
        work |= {"hessian": 0.0, "solve": 0.0, "column": 0.0}
    return sum(amount / speed[term] for term, amount in work.items())


def _formula(method: str, profile: Profile, device: str) -> tuple[float, float, float]:
    """Seconds, GPU bytes, host bytes."""
    fold = 2 if method in TWOFOLD else 1
    largest = max(((o, i) for o, i, _ in profile.shapes), key=lambda s: s[0] * s[1], default=(0, 0))
    square = max((i for _, i, _ in profile.shapes), default=0) ** 2
    solve = 4.0 * (3 * largest[0] * largest[1] + (2 + fold) * square)
    experts = 4.0 * profile.experts * min((i for _, i, n in profile.shapes), default=0) ** 2
    states = 2.0 * 2 * fold * profile.tokens * profile.hidden
    working = solve + experts + states + 2 * profile.layer_bytes + 40.0 * profile.longest * profile.hidden
    seconds = profile.layers * layer_seconds(method, profile, device) + profile.total_bytes / 5e8
    kept = profile.total_bytes if method in WALKED else profile.resident_bytes + profile.total_bytes / 3
    if device == "cpu":
        return seconds, 0.0, LIBRARIES + kept + 2 * working
    return seconds, GPU_CONTEXT + profile.resident_bytes + working, 2 * LIBRARIES + kept + states / 4


@cache
def costs() -> tuple[dict[str, Any], ...]:
    """The measured rows."""
    text = (files("faq_tui.core") / "data" / "quantize_costs.json").read_text(encoding="utf-8")
    return tuple(row for row in json.loads(text)["measured"] if row.get("seconds_per_layer"))


def _nearest(method: str, profile: Profile, device: str) -> dict[str, Any] | None:
    """Of the same method and kind of device; dense and mixture apart where that can be."""
    rows = [row for row in costs() if row["method"] == method and row["device"] == device]
    alike = [row for row in rows if bool(row["profile"]["experts"]) == bool(profile.experts)] or rows

    def distance(row: dict[str, Any]) -> float:
        other = Profile.from_json(row["profile"])
        ratio = layer_seconds(method, profile, device) / layer_seconds(method, other, device)
        return abs(math.log(ratio)) + 0.1 * abs(math.log(max(1, profile.layers) / max(1, other.layers)))

    return min(alike, key=distance, default=None)
