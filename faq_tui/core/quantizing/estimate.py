"""How long a recipe will take and what memory it will need, before it starts.

A formula says how cost grows with shapes and tokens; the measured runs nearest in size, on the same kind of device,
say how much that is in seconds and bytes. Their rows are in core/data/quantize_costs.json: benchmarks/cuda_scale.py
and cuda_table.py write them. Machines with the same GPU were seen to differ by a factor of 1.5 where it has little to
do; the first GPTQ, GPTAQ or AWQ on a machine takes half a minute to a minute more, while its kernels are built.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import fmean
from typing import Any

from faq_tui.core.quantizing.profile import Profile
from faq_tui.core.quantizing.terms import GPU, HOST, SECONDS, WALKED, WORK, layer_terms, memory_terms, summed

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
class Estimate:
    seconds: float
    gpu_bytes: float  # 0 on a CPU
    host_bytes: float
    source: str  # what it rests on; empty: on nothing measured


def estimate(method: str, profile: Profile, device: str, work: float = WORK, name: str = "") -> Estimate:
    """`device`: cuda | cpu; `work`: bytes that a portion of rows may take on the GPU; `name`: the GPU's."""
    rows = _nearest(method, profile, device, name)
    layer, gpu, host = layer_seconds(method, profile, device), *_bytes(method, profile, device, work)
    if not rows:
        alone = STARTUP + profile.layers * layer + profile.total_bytes / READING
        return Estimate(alone, gpu, host, "")
    seconds, gpus, hosts = [], [], []
    for row in rows:
        then = Profile.from_json(row["profile"])
        old_gpu, old_host = _bytes(method, then, device, WORK)
        each = row["seconds_per_layer"] * layer / layer_seconds(method, then, device)
        around = row.get("seconds_before", 0.0) + (row.get("seconds_after") or 0.0)
        read = max(0.0, (profile.total_bytes - then.total_bytes) / READING)
        seconds.append(around + profile.layers * each + read)
        gpus.append(gpu * row["gpu_bytes"] / old_gpu if row.get("gpu_bytes") and old_gpu else gpu)
        hosts.append(host * row["host_bytes"] / old_host if row.get("host_bytes") else host)
    first = rows[0]
    source = f"{first['model']} on {first['device_name']}, {first['date']}"
    return Estimate(fmean(seconds), fmean(gpus), fmean(hosts), source)


def layer_seconds(method: str, profile: Profile, device: str) -> float:
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


def _bytes(method: str, profile: Profile, device: str, work: float) -> tuple[float, float]:
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


def _nearest(method: str, profile: Profile, device: str, name: str) -> list[dict[str, Any]]:
    """All of one model on one device, of the same method and kind; dense and mixture apart where that can be."""
    rows = [row for row in costs() if row["method"] == method and row["device"] == device]
    alike = [row for row in rows if bool(row["profile"]["experts"]) == bool(profile.experts)] or rows

    def distance(row: dict[str, Any]) -> float:
        other = Profile.from_json(row["profile"])
        ratio = layer_seconds(method, profile, device) / layer_seconds(method, other, device)
        far = OTHER_GPU if name and row["device_name"] != name else 0.0
        return far + abs(math.log(ratio)) + 0.1 * abs(math.log(max(1, profile.layers) / max(1, other.layers)))

    def series(row: dict[str, Any]) -> tuple[str, str]:
        return row["model"], row["device_name"]

    nearest = min(alike, key=distance, default=None)
    return [row for row in alike if nearest is not None and series(row) == series(nearest)]
