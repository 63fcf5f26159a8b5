"""The items of a held-out text: what is measured one by one, and resampled by the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faq_tui.core.store.hashing import digest

SHORT = 256  # tokens: a choice or a passage is far shorter, and a model is idle over four of them


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


def rolling(ids: Sequence[int], size: int, prefix: int) -> list[Item]:
    """All of `ids` predicted once, by a model that reads `size` tokens at a time.

    The windows of lm_eval 0.4.13 for `loglikelihood_rolling`: `get_rolling_token_windows` of lm_eval/utils.py
    with context_len 1, then `make_disjoint_window`. `prefix` stands before the first token; a later window has
    the token before it as its context, the last and shorter one as many as the model still can read.
    """
    found = []
    for start in range(0, len(ids), size):
        end = min(start + size, len(ids))
        if start == 0:
            found.append(Item((prefix, *ids[:end]), 1))
        else:
            found.append(Item(tuple(ids[end - size - 1 : end]), size + 1 - (end - start)))
    return found


def digest_of(items: Sequence[Item], *more: object) -> str:
    """The same for two texts that a model cannot tell apart; `more` is what else shapes their sums."""
    body: list[object] = [item.to_json() for item in items]
    return digest(body, *more) if more else digest(body)


def batches(items: Sequence[Item], size: int) -> Iterator[list[int]]:
    """Indices of items of similar length, longest first, so that a batch too large shows at once.

    `size` items a batch; of short ones as many as hold the tokens of `size` items of SHORT tokens.
    """
    order = sorted(range(len(items)), key=lambda index: -len(items[index].ids))
    while order:
        rows = max(size, size * SHORT // len(items[order[0]].ids))
        yield order[:rows]
        order = order[rows:]
