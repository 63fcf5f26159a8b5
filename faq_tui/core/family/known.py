"""Read the families in data/families.toml, and find a model's family and size by the model's name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_CACHED = re.compile(r"models--(?:[^/]*--)?([^/]+?)(?:/snapshots/[^/]*)?/?$")
_QUANTIZED = re.compile(
    r"[-_.:](?:"
    r"(?:nv|mx)?fp(?:4|8|16|32)|bf16|f16|f32|int[2-8]|w\d+a\d+|w\d+g\d+|g\d+|[2-8]-?bits?|i?q\d(?:_\w+)?"
    r"|awq|gptq|gptaq|spqr|gguf|exl[23]|bnb|hqq|aqlm|mlx|autoround|ct|quantized|dynamic|block|marlin|unsloth|latest"
    r")$"
)
_SIZE = re.compile(r"(?:^|[-_])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?=$|[-_])")


@dataclass(frozen=True)
class ModelFamily:
    """A family of models that share vocabulary and architecture."""

    id: str
    title: str
    names: tuple[str, ...]  # regular expressions; one of them must match the whole bare name
    model_types: tuple[str, ...]
    vocab_sizes: tuple[int, ...]
    # (hub id, number of parameters in billions) of each elder, largest model first
    elders: tuple[tuple[str, float], ...]


@cache
def families() -> tuple[ModelFamily, ...]:
    return tuple(_family(**entry) for entry in _data()["families"])


def by_name(name: str) -> ModelFamily | None:
    """The family that fits a model's name (hub id, path, file name or tag); None if no family fits."""
    bare = bare_name(name)
    return next((f for f in families() if any(re.fullmatch(pattern, bare) for pattern in f.names)), None)


def by_config(model_type: str | None, vocab_size: int | None) -> ModelFamily | None:
    """The family with this architecture and vocabulary size; None if no family or several families match."""
    matches = [f for f in families() if model_type in f.model_types and vocab_size in f.vocab_sizes]
    return matches[0] if len(matches) == 1 else None


def is_teacher(teacher: str, pupil: str) -> bool:
    """True if `pupil` was tuned on answers of `teacher`."""
    return any(
        re.fullmatch(entry["teacher"], bare_name(teacher))
        and any(re.fullmatch(pattern, bare_name(pupil)) for pattern in entry["names"])
        for entry in _data()["teachers"]
    )


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((files("faq_tui.core") / "data" / "families.toml").read_text(encoding="utf-8"))


def _family(
    id: str, title: str, names: list[str], model_types: list[str], vocab_sizes: list[int], elders: list[str]
) -> ModelFamily:
    return ModelFamily(id, title, tuple(names), tuple(model_types), tuple(vocab_sizes), tuple(_sized(elders)))


def _sized(elders: list[str]) -> Iterator[tuple[str, float]]:
    for entry in elders:
        name, _, size = entry.partition("@")
        yield name, float(size)


def bare_name(name: str) -> str:
    """The name in lower case, without path, organisation, tag and quantization suffix; "" if nothing remains."""
    while (shorter := _stripped(name)) != name:
        name = shorter
    return name


def _stripped(name: str) -> str:
    """Remove path, tag and quantization suffix from the name.

    `bare_name` calls this function until nothing more is removed.
    """
    name = name.strip().rstrip("/")
    if cached := _CACHED.search(name):
        name = cached[1]
    name = re.split(r"[/\\]", name)[-1].casefold().replace(":", "-")
    while (shorter := _QUANTIZED.sub("", name)) != name:
        name = shorter
    return name.replace("_", "-").removeprefix("meta-")


def billions(name: str) -> float | None:
    """Read the number of parameters from a model's name, in billions. The number includes all experts.

    Returns None if the name does not contain the number.
    """
    match = _SIZE.search(bare_name(name))
    if match is None:
        return None
    experts, size, unit = match.groups()
    return float(size) * int(experts or 1) / (1000.0 if unit == "m" else 1.0)
