"""Keep the hidden states of all tokens on the device, in host memory or in files on disk."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.models.devices import free_bytes
from faq_tui.core.models.stack import Inputs, Stack

DISK = "disk"
# The keys with which architectures name the number of states that a token has between two layers.
STREAMS = ("hc_mult", "hc_count", "altup_num_inputs")


@dataclass(frozen=True)
class StatesPlace:
    """The place where hidden states are kept.

    `name` is a torch device or `disk`. `scratch` is the folder for the files; by default, it is the system's folder
    for temporary files.
    """

    name: str
    scratch: Path | None = None

    def keep(self, states: Any) -> Any:
        """The tensor `states`, or a copy of it, in this place."""
        return _mapped(states, self.scratch) if self.name == DISK else states.to(self.name)

    def put(self, inputs: Inputs, batch: int, states: Any) -> None:
        """Replace the hidden states of a batch. The new states have the shape of the old ones."""
        if self.name == DISK:
            inputs.hidden[batch].copy_(states)
        else:
            inputs.hidden[batch] = states.to(self.name)


def states_bytes(stack: Stack, tokens: int, dtype: Any) -> int:
    """The size of the hidden states of `tokens` tokens in the torch dtype `dtype`, in bytes."""
    config = stack.base.config.get_text_config()
    streams = max(int(getattr(config, key, None) or 1) for key in STREAMS)
    return int(tokens * streams * config.hidden_size * dtype.itemsize)


def place_of_states(size: int, device: str, scratch: Path | None = None) -> StatesPlace:
    """The place for hidden states of `size` bytes.

    The states stay on the device if they need at most a third of the device's free memory. Otherwise the states go to
    host memory if they need at most half of the free host memory. If they do not fit there either, they go to disk,
    into the folder `scratch`.
    """
    if device != "cpu":
        free = free_bytes(device)
        if free is None or 3 * size < free:
            return StatesPlace(device)
    free = free_bytes("cpu")
    return StatesPlace("cpu") if free is None or 2 * size < free else StatesPlace(DISK, scratch)


def _mapped(states: Any, folder: Path | None) -> Any:
    """A copy of the tensor `states` in a file on disk that is mapped into memory.

    The file is unlinked at once, so the system deletes it when the tensor is freed or the process ends.
    """
    import torch

    with tempfile.NamedTemporaryFile(dir=folder, prefix=".states-") as file:
        file.truncate(states.numel() * states.element_size())
        kept = torch.from_file(file.name, shared=True, size=states.numel(), dtype=states.dtype)
    return kept.view(states.shape).copy_(states)
