"""Open a model folder of any format, so that it can be read layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import in_memory, quantization_of, readable_format
from faq_tui.core.models.layer_source import missing_tensor, open_shell, open_streamed
from faq_tui.core.models.layer_stream import LayerStream
from faq_tui.core.models.model_call import refusal_of_call, refusal_of_stream
from faq_tui.core.models.model_code import without_code
from faq_tui.core.models.stack import UnsupportedModel


def open_stream(
    folder: Path, dtype: Any, device: str, trust_remote_code: bool, check: Callable[[], None] = lambda: None
) -> LayerStream:
    """The model in `folder` as a stream of layers, with the same results as the model that `load_dense` returns.

    `folder` holds dense weights, weights in the format of a quantization method, or weights in a published format.
    Raises FaqError if faq-tui cannot read the folder's format, and UnsupportedModel if the model's layers cannot be
    read one at a time.
    """
    quantization = quantization_of(folder) or {}
    format = readable_format(folder, quantization)
    tensors = format.tensors(folder, quantization, dtype)
    with without_code(folder, trust_remote_code) as safe:
        stack = open_streamed(safe, trust_remote_code, tensors, dtype)
    assert stack.places is not None
    format.prepare(stack.model, in_memory(quantization, stack.places))
    stream = LayerStream(stack, device, dtype, check)
    if why := refusal_of_stream(stack, device, dtype):
        raise UnsupportedModel(why)
    return stream


def refusal_of_layers(folder: Path, trust_remote_code: bool) -> str:
    """The reason why the model in `folder` cannot be read layer by layer; "" if no reason is found.

    Only headers of files are read.
    """
    try:
        stack = open_shell(folder, trust_remote_code)
    except UnsupportedModel as error:
        return not_by_layers(folder, error.reason)
    why = missing_tensor(stack) or refusal_of_call(stack)
    if not why:
        LayerStream(stack, "cpu", None)  # places the parts outside the layers
        why = refusal_of_stream(stack, "cpu", None)
    return not_by_layers(folder, why) if why else ""


def not_by_layers(folder: Path, why: str) -> str:
    """The error sentence for a model that must be read layer by layer, but cannot."""
    return f'{folder} cannot be read layer by layer ({why}): set target.read = "whole"'


class StreamedBackbone(Backbone):
    """A `Backbone` whose model is read layer by layer.

    `prepare` computes the states of all rows in one pass through the layers, and `states` returns them.
    """

    def __init__(self, stream: LayerStream) -> None:
        super().__init__(stream.stack.model)
        self.stream = stream
        self._prepared: dict[tuple[int, ...], Any] = {}  # maps a row to its states [tokens, hidden]

    def prepare(self, rows: Sequence[Sequence[int]]) -> None:
        """Compute the states of `rows`. Rows of an earlier call are forgotten."""
        self._prepared = {}
        distinct = [list(row) for row in dict.fromkeys(map(tuple, rows))]
        if not distinct:
            return
        batches = self.stream.batches(distinct)
        for batch, states in zip(batches, self.stream.run(batches), strict=True):
            self._prepared.update(zip(map(tuple, batch), states, strict=True))

    def states(self, rows: Sequence[Sequence[int]]) -> Any:
        import torch

        if any(tuple(row) not in self._prepared for row in rows):
            self.prepare(rows)
        own = [self._prepared[tuple(row)] for row in rows]
        return torch.nn.utils.rnn.pad_sequence([states.to(self.head.weight.device) for states in own], True)
