"""The items of a held-out text: what is measured one by one, and resampled by the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faq_tui.core.store.hashing import digest


@dataclass(frozen=True)
class Item:
    """Token ids, of which those from index `first` (at least 1) on are predicted."""

    ids: tuple[int, ...]
    first: int

    @property
    def predicted(self) -> int:
        return len(self.ids) - self.first

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Item:
        return cls(tuple(body["ids"]), body["first"])


def windows(ids: Sequence[int], size: int, bos: int | None = None) -> list[Item]:
    """Non-overlapping windows of `size` tokens; each starts fresh and its first token is not predicted.

    With `bos` that is each window's first token, since such models are lost without it. A shorter last
    window is kept if there is anything to predict in it.
    """
    head = () if bos is None else (bos,)
    step = size - len(head)
    found = (Item((*head, *ids[start : start + step]), 1) for start in range(0, len(ids), step))
    return [item for item in found if item.predicted > 0]


def digest_of(items: Sequence[Item]) -> str:
    """The same for two texts that a model cannot tell apart."""
    return digest([item.to_json() for item in items])


def batches(items: Sequence[Item], size: int) -> Iterator[list[int]]:
    """Indices of items of similar length, longest first, so that a batch too large shows at once."""
    order = sorted(range(len(items)), key=lambda index: -len(items[index].ids))
    for start in range(0, len(order), size):
        yield order[start : start + size]
