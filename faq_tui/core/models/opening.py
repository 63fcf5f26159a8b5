"""Open a model as a whole, or as a stream of layers if the whole model does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.devices import device_of, dtype_name, free_bytes
from faq_tui.core.models.hub import local_folder
from faq_tui.core.models.layer_stream import LayerStream
from faq_tui.core.models.memory_need import LAYERS, WHOLE, MemoryNeed, memory_need
from faq_tui.core.models.stack import UnsupportedModel
from faq_tui.core.models.streamed import StreamedBackbone, not_by_layers, open_stream


@dataclass(frozen=True)
class Opening:
    """The settings with which a task opens its models.

    `read` is the value of target.read: auto, whole or layers. `need` is the memory for the weights of the
    unquantized target; None means that the whole model is read without a check.
    """

    device: str
    dtype: Any  # a torch dtype
    trust_remote_code: bool
    read: str = WHOLE
    need: MemoryNeed | None = None
    check: Callable[[], None] = lambda: None  # raises an exception to stop
    on_layer: Callable[[int, int], None] = lambda _index, _layers: None  # arguments: index, number of layers

    @classmethod
    def of(
        cls, target: Path, device: str, dtype: Any, trusted: bool, read: str, check: Callable[[], None]
    ) -> Opening:
        """The `Opening` for the unquantized model in the folder `target` and for its artefacts."""
        need = None if read == WHOLE else memory_need(target, dtype.itemsize)
        return cls(device, dtype, trusted, read, need, check)

    def fits(self) -> bool:
        """True if the whole model fits into the memory that is free now."""
        gpu = free_bytes(self.device) if self.device != "cpu" else None
        return self.need is None or self.need.fits(free_bytes("cpu"), gpu)

    def by_layers(self) -> bool:
        """True if models are read layer by layer."""
        return self.read == LAYERS or (self.read != WHOLE and not self.fits())

    def whole(self, folder: Path) -> Any:
        """The whole model, opened by `load_dense`."""
        return load_dense(folder, self.dtype, self.device, self.trust_remote_code)

    def open(self, folder: Path) -> Any:
        """A Hugging Face causal LM, or a `LayerStream`.

        In some models, the layers cannot be read one at a time. If `read` is "auto", a model of this kind is read as
        a whole, even if it does not fit into memory. If `read` is "layers", the function raises FaqError.
        """
        if not self.by_layers():
            return self.whole(folder)
        try:
            stream = open_stream(folder, self.dtype, self.device, self.trust_remote_code, self.check)
        except UnsupportedModel as error:
            if self.read == LAYERS:
                raise FaqError(not_by_layers(folder, error.reason)) from error
            return self.whole(folder)
        return replace(stream, on_layer=lambda index: self.on_layer(index, stream.layers))

    def backbone(self, folder: Path) -> Backbone:
        """The model without its lm_head."""
        model = self.open(folder)
        return StreamedBackbone(model) if isinstance(model, LayerStream) else Backbone(model)


def opening_of(spec: Mapping[str, Any], check: Callable[[], None]) -> tuple[Opening, Path]:
    """The `Opening` of a worker's task, and the target's folder.

    `spec` holds the entries of `TargetModel.spec`. `check` is called between two batches; it raises an exception to
    stop.
    """
    import torch

    folder, device, trusted = local_folder(spec["model"]), device_of(spec["device"]), spec["trust_remote_code"]
    dtype = getattr(torch, dtype_name(spec["dtype"], device, folder, trusted))
    return Opening.of(folder, device, dtype, trusted, spec.get("read", "auto"), check), folder
