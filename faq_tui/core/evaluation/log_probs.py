"""The unquantized model's log-probabilities of one text, shared by all models that are compared with it.

The log-probabilities of one token over the whole vocabulary take a hundred times as much space as its hidden state.
Therefore log-probabilities are never written to disk. Log-probabilities are kept in memory if enough memory is free.
Otherwise they are computed again from the hidden states on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.models.devices import free_bytes

SPARE = 2 << 30  # this many bytes of memory always stay free
SHARE = 4  # log-probabilities may use (free bytes - SPARE) / SHARE


@dataclass
class SpareMemory:
    """The memory for the log-probabilities of all texts of an evaluation.

    The first call of `take` computes the size of this memory: a part of the memory that is free during this call.
    During this call, a model is already loaded, and the model's memory does not count as free. So after this model is
    freed, the next model of the same size still fits.
    """

    device: str
    left: int | None = None  # bytes; None before the first use

    def take(self, size: int) -> bool:
        """Reserve `size` bytes. Returns False if fewer than `size` bytes are left."""
        if self.left is None:
            free = free_bytes(self.device)
            self.left = 0 if free is None else max(0, free - SPARE) // SHARE
        if size > self.left:
            return False
        self.left -= size
        return True


# The number of a batch, and the index of a token among the predicted tokens of the batch.
Key = tuple[int, int]


@dataclass
class LogProbs:
    """The log-probabilities of one text: a tensor [tokens, vocabulary] for each part of a batch.

    A text is always split into the same batches and parts.
    """

    spare: SpareMemory
    kept: dict[Key, Any] = field(default_factory=dict)

    def keep(self, key: Key, values: Any) -> None:
        """Keep `values` if there is memory for them. The caller must not change the tensor afterwards."""
        if key not in self.kept and self.spare.take(values.numel() * values.element_size()):
            self.kept[key] = values

    def of(self, key: Key, compute: Callable[[], Any]) -> Any:
        """The values for `key`. If they must be computed, `compute` is called. Do not change the values in place."""
        values = self.kept.get(key)
        if values is None:
            values = compute()
            self.keep(key, values)
        return values
