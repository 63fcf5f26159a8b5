"""Manage gptqmodel's checkpoints of an artefact, so that a killed or stopped quantization can continue.

A file beside the checkpoints stores the messages about finished layers, because gptqmodel does not repeat them.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faq_tui.core.quantizing.layer_messages import LayerMessages
from faq_tui.core.quantizing.progress import QuantizationProgress, Send


class Checkpoint:
    """The checkpoints of one artefact in `folder`. `folder` may hold checkpoints of an earlier attempt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._messages = LayerMessages(folder / "told.jsonl")
        # number of the first layer that this attempt computes; None until it is known
        self.resumed_at: int | None = None
        self._begun = False

    @property
    def exists(self) -> bool:
        """True if an earlier attempt has left a checkpoint."""
        return (self.folder / "store" / "CURRENT").is_file()

    def config(self, gptqmodel: Any, seconds: float) -> Any:
        """Make the argument `checkpoint` of gptqmodel's `quantize`.

        gptqmodel writes a checkpoint at the end of a layer if `seconds` have passed since the last checkpoint.
        gptqmodel writes another checkpoint when all layers are done.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in (self.folder / "store").glob("attempt-*"):
            shutil.rmtree(attempt, ignore_errors=True)  # killed processes have left these folders
        return _paced(gptqmodel.CheckpointConfig, seconds)(path=self.folder / "store")

    def drop(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def noting(self, send: Send) -> Send:
        """Return a function that calls `send` and also records messages about layers."""
        return self._messages.noting(send)

    def begin_at(self, layer: int, progress: QuantizationProgress, send: Send) -> None:
        """Send the recorded messages of all layers before `layer`.

        `layer` is the first layer to compute. If the method is called again, it does nothing.
        """
        if self._begun:
            return
        self._begun = True
        self._messages.resume_at(layer, progress, send)
        if layer:
            self.resumed_at = layer


def supports(model: Any) -> bool:
    """True if gptqmodel can write checkpoints of this model.

    For example, version 7.7 can resume GPTQ of llama and qwen3_moe models. Version 7.7 cannot resume GPTAQ.
    """
    from gptqmodel.looper import gptq_checkpoint

    try:
        gptq_checkpoint.validate_checkpoint_support(model)
    except (NotImplementedError, ValueError):
        return False
    # After a signal, faq-tui stops at the next module. gptqmodel's own handler would finish the layer first.
    gptq_checkpoint.signal = SimpleNamespace(
        SIGINT=None, SIGTERM=None, getsignal=lambda _number: None, signal=lambda _number, _handler: None
    )
    # gptqmodel's own `_source_identity` reads all weights again. `_source_identity` also refuses symbolic
    # links, but the files of a hub cache are symbolic links.
    gptq_checkpoint._source_identity = _files_of
    return True


def _files_of(model: Any) -> dict[str, str]:
    """A dict from the name of each file to a hash.

    The files are config.json and all safetensors files. A hash depends on the size and the modification time of the
    file.
    """
    root = Path(model.model_local_path)
    hashes = {}
    for path in sorted([root / "config.json", *root.glob("*.safetensors*")]):
        state = path.stat()
        hashes[path.name] = hashlib.sha256(f"{state.st_size} {state.st_mtime_ns}".encode()).hexdigest()
    return hashes


def _paced(config: Any, seconds: float) -> Any:
    """A subclass of `config` that lets `seconds` pass between two checkpoints.

    gptqmodel itself only counts the layers between two checkpoints. This count says little about the time, because a
    layer can take milliseconds or minutes.
    """
    last = time.monotonic()

    class Paced(config):  # type: ignore[misc]
        @property
        def interval_layers(self) -> int:
            nonlocal last
            now = time.monotonic()
            if now - last < seconds:
                return sys.maxsize
            last = now
            return 1

    return Paced
