"""What a model is called, whoever serves it: `Qwen/Qwen3-8B-FP8`, `/models/Qwen3-8B/` and `qwen3:8b` are one."""

from __future__ import annotations

import re

_CACHED = re.compile(r"models--(?:[^/]*--)?([^/]+?)(?:/snapshots/[^/]*)?/?$")
_QUANTIZED = re.compile(
    r"[-_.:](?:"
    r"(?:nv|mx)?fp(?:4|8|16|32)|bf16|f16|f32|int[2-8]|w\d+a\d+|w\d+g\d+|g\d+|[2-8]-?bits?|i?q\d(?:_\w+)?"
    r"|awq|gptq|gptaq|spqr|gguf|exl[23]|bnb|hqq|aqlm|mlx|autoround|ct|quantized|dynamic|block|marlin|unsloth|latest"
    r")$"
)
_SIZE = re.compile(r"(?:^|[-_])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?=$|[-_])")


def bare_name(name: str) -> str:
    """Lower case, without path, organisation, tag and quantization; "" of a name that has nothing else."""
    while (shorter := _stripped(name)) != name:
        name = shorter
    return name


def _stripped(name: str) -> str:
    """Once: what is left may have something to strip again."""
    name = name.strip().rstrip("/")
    if cached := _CACHED.search(name):
        name = cached[1]
    name = re.split(r"[/\\]", name)[-1].casefold().replace(":", "-")
    while (shorter := _QUANTIZED.sub("", name)) != name:
        name = shorter
    return name.replace("_", "-").removeprefix("meta-")


def billions(name: str) -> float | None:
    """The number of parameters that the name tells, all experts counted."""
    found = _SIZE.search(bare_name(name))
    if found is None:
        return None
    experts, size, unit = found.groups()
    return float(size) * int(experts or 1) / (1000.0 if unit == "m" else 1.0)
