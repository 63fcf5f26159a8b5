"""Decide from the headers of a model's files whether the whole model fits into memory.

If the whole model does not fit, it is read layer by layer. This module does not import torch.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.models.headers import Tensors, is_of_text, tensors_of

WHOLE, LAYERS = "whole", "layers"  # values of target.read
GIB = 1 << 30
# Memory of a worker besides weights and hidden states, in bytes: libraries, and the intermediate values of a batch.
HOST_BESIDE, GPU_BESIDE = 1 << 30, 1 << 30

_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class MemoryNeed:
    """The memory for the weights of a model, in bytes."""

    whole: int  # all weights
    resident: int  # all weights outside the layers: embedding, norm, lm_head
    layer: int  # the largest layer
    layers: int  # the number of layers

    @property
    def on_device(self) -> int:
        """The device memory that the weights need if the model is read layer by layer."""
        return self.resident + self.layer

    @property
    def on_host(self) -> int:
        """The host memory that the weights need if the model is read layer by layer.

        While one layer computes, a thread reads the next layer.
        """
        return self.resident + 2 * self.layer

    def fits(self, host: int | None, gpu: int | None) -> bool:
        """True if the whole model fits. The arguments are the numbers of free bytes.

        `gpu` is None if the model runs on the CPU. `host` is None if the system does not report its free memory. Even
        for a GPU, the weights are read into host memory first.
        """
        if gpu is not None and self.whole + GPU_BESIDE > gpu:
            return False
        return host is None or self.whole + HOST_BESIDE <= host


def memory_need(folder: Path, item_bytes: int) -> MemoryNeed:
    """The memory for the unquantized model in `folder` if each weight takes `item_bytes` bytes.

    Only the headers of the folder's files are read. Raises UsageError if the headers cannot be read.
    """
    return need_of(tensors_of(folder), item_bytes)


def need_of(tensors: Tensors, item_bytes: int) -> MemoryNeed:
    layers, resident, whole = Counter[int](), 0, 0
    for name, (_, shape, _) in tensors.items():
        size = math.prod(shape) * item_bytes
        number = _LAYER.search(name)
        whole += size
        if not is_of_text(name):
            continue
        if number:
            layers[int(number[1])] += size
        else:
            resident += size
    return MemoryNeed(whole, resident, max(layers.values(), default=0), len(layers))


def no_memory_for_answers(need: MemoryNeed, sampled: bool, greedy: bool) -> str:
    """A sentence for a target that must write sampled or greedy answers, but does not fit into memory."""
    remedies = ["evaluate.answers to the name of a source, or to []"] if sampled else []
    remedies += ["evaluate.greedy_tokens to 0"] if greedy else []
    return (
        f"the target's weights take {need.whole / GIB:.1f} GiB, which is more than the free memory; only a model "
        f"that is read as a whole can write held-out answers: set {' and '.join(remedies)}"
    )
