"""The families in data/families.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from faq_tui.core.family.names import bare_name


@dataclass(frozen=True)
class Family:
    id: str
    title: str
    names: tuple[str, ...]  # regular expressions for a whole bare name
    model_types: tuple[str, ...]
    vocab_sizes: tuple[int, ...]
    elders: tuple[tuple[str, float], ...]  # hub id and billions of parameters, largest first


@cache
def families() -> tuple[Family, ...]:
    return tuple(_family(**entry) for entry in _data()["families"])


def by_name(name: str) -> Family | None:
    """The family that a model's name, in whatever form, belongs to."""
    bare = bare_name(name)
    return next((f for f in families() if any(re.fullmatch(pattern, bare) for pattern in f.names)), None)


def by_config(model_type: str | None, vocab_size: int | None) -> Family | None:
    """The one family with this architecture and size of vocabulary; None if there is none, or more than one."""
    found = [f for f in families() if model_type in f.model_types and vocab_size in f.vocab_sizes]
    return found[0] if len(found) == 1 else None


def is_teacher(teacher: str, pupil: str) -> bool:
    """`pupil` was tuned on the answers of `teacher`."""
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
) -> Family:
    return Family(id, title, tuple(names), tuple(model_types), tuple(vocab_sizes), tuple(_sized(elders)))


def _sized(elders: list[str]) -> Iterator[tuple[str, float]]:
    for entry in elders:
        name, _, size = entry.partition("@")
        yield name, float(size)
