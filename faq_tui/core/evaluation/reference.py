"""Store the unquantized model's last hidden states and its lm_head on disk, for the comparison with other models.

Logits would take a hundred times as much space as the states. Therefore only the states are stored. Logits are
computed from the states for a few hundred tokens at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from faq_tui.core.base.files import full_disk_is_clear, private_folder
from faq_tui.core.evaluation.heldout import Item, starts
from faq_tui.core.models.backbone import LmHead

DTYPES = {
    "float32": "F32",
    "bfloat16": "BF16",
    "float16": "F16",
}  # maps the name of a dtype in torch to its name in safetensors files


class Writer:
    """Writes the states of items into the file. The items may come in any order."""

    def __init__(self, states: Any, items: Sequence[Item]) -> None:
        self._states = states
        self._starts = starts(item.predicted for item in items)

    def put(self, index: int, states: Any) -> None:
        """Write the states of item `index`. `states` has the shape [predicted tokens of the item, hidden]."""
        start = self._starts[index]
        self._states[start : start + len(states)].copy_(states)


class Reference:
    """Reads the finished file. Each call of `states` loads the states of only one item to `device`."""

    def __init__(self, path: Path, items: Sequence[Item], device: str) -> None:
        from safetensors import safe_open

        file: Any = safe_open  # safetensors has no type annotations
        self._file = file(path, framework="pt", device=device)
        self._states = self._file.get_slice("states")
        self._starts = starts(item.predicted for item in items)
        self._items = items
        metadata = self._file.metadata()
        self._scale, self._softcap = float(metadata["scale"]), metadata["softcap"]
        self._names = set(self._file.keys())
        self._file.get_slice("weight")  # raises an exception if the file has no lm_head

    @cached_property
    def head(self) -> LmHead:
        """The lm_head of the unquantized model. This large matrix is read when it is first needed."""
        return LmHead(
            self._file.get_tensor("weight"),
            self._file.get_tensor("bias") if "bias" in self._names else None,
            self._scale,
            float(self._softcap) if self._softcap else None,
        )

    def states(self, index: int) -> Any:
        """The states of item `index`, shape [predicted tokens of the item, hidden]."""
        start = self._starts[index]
        return self._states[start : start + self._items[index].predicted]


def reference_path(cache: Path, text_key: str) -> Path:
    """The path of the file with the states for one text.

    `text_key` is the signature of the unquantized model's measurement on this text.
    """
    return cache / "reference" / f"{text_key}.safetensors"


def open_reference(path: Path, items: Sequence[Item], device: str) -> Reference | None:
    """Open the reference. Returns None if the file is missing or unusable."""
    with suppress(Exception):  # If the file is missing, cut off or unreadable, the caller computes the states again.
        return Reference(path, items, device)
    return None


@contextmanager
def writing(path: Path, items: Sequence[Item], head: LmHead) -> Iterator[Writer]:
    """Yield a writer for a new file. The file gets its final name when the `with` block ends."""
    import numpy as np
    import torch

    half = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.half")
    rows, width = sum(item.predicted for item in items), int(head.weight.shape[1])
    shapes = {"states": (rows, width), "weight": tuple(head.weight.shape)}
    if head.bias is not None:
        shapes["bias"] = tuple(head.bias.shape)
    with full_disk_is_clear(path), ExitStack() as stack:
        private_folder(path.parent)
        _remove_abandoned(path.parent)
        try:
            stack.enter_context(_in_use(half))
            offset, places, size = _lay_out(half, shapes, head)
            mapped = np.memmap(half, dtype=np.uint8, mode="r+", offset=offset, shape=(size,))
            whole = torch.from_numpy(mapped)
            views = {
                name: whole[start:end].view(head.weight.dtype).view(shapes[name])
                for name, (start, end) in places.items()
            }
            views["weight"].copy_(head.weight)
            if head.bias is not None:
                views["bias"].copy_(head.bias)
            yield Writer(views["states"], items)
            mapped.flush()
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


@contextmanager
def _in_use(half: Path) -> Iterator[None]:
    """Create the file and lock it, so that no other process takes it for abandoned."""
    with half.open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_abandoned(folder: Path) -> None:
    """Remove the files that killed processes left behind."""
    for half in folder.glob(".*.half"):
        with suppress(OSError), half.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while a process writes the file
            half.unlink()


def _lay_out(
    path: Path, shapes: dict[str, tuple[int, ...]], head: LmHead
) -> tuple[int, dict[str, tuple[int, int]], int]:
    """Create a safetensors file with its header and with space for all tensors.

    Returns three results, in bytes: the start of the data in the file, the start and end of each tensor within the
    data, and the size of the data. A safetensors file (https://huggingface.co/docs/safetensors) has three parts: the
    length of the header as 8 little-endian bytes, the JSON header, and the data. The function allocates the whole
    file on disk at once, so that a full disk raises an exception here. A later write to the memory-mapped file would
    get the signal SIGBUS instead.
    """
    import torch

    places, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + torch.Size(shape).numel() * head.weight.element_size()
        places[name] = (start, end)
    dtype = DTYPES[str(head.weight.dtype).removeprefix("torch.")]
    header: dict[str, Any] = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": places[name]} for name, shape in shapes.items()
    }
    header["__metadata__"] = {
        "scale": repr(head.scale),
        "softcap": "" if head.softcap is None else repr(head.softcap),
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.flush()
        if end:
            os.posix_fallocate(file.fileno(), 0, 8 + len(text) + end)
    return 8 + len(text), places, end
