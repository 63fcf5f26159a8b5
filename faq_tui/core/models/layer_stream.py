"""Run a model layer by layer, so that the weights of only one layer are on the device at a time.

While a layer computes, a thread reads the next layer. At its peak, the device memory holds one layer, the embedding,
lm_head, and the hidden states of all tokens if they fit. At its peak, the host memory holds two layers, the
embedding, lm_head, and the hidden states if they do not fit on the device. If the hidden states do not fit into host
memory either, they are in a file on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.host_memory import return_freed_memory
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.devices import is_cuda, work_bytes
from faq_tui.core.models.hidden_states import StatesPlace, place_of_states, states_bytes
from faq_tui.core.models.stack import Inputs, Stack, UnsupportedModel, capture, computed, in_batches, move_all_but

Batches = Sequence[Sequence[Sequence[int]]]  # token ids; all rows of a batch have the same length


@dataclass(frozen=True)
class Step:
    """One layer that is in memory, and a way to run it on a batch."""

    index: int
    layer: Any
    run: Callable[[int], Any]  # takes the number of a batch; returns the hidden states after the layer


@dataclass
class LayerStream:
    """Runs all layers of `stack` on `device`, in the torch dtype `dtype`.

    `check` is called before each computation; it raises an exception to stop. `on_layer` gets the index of each layer
    before the layer runs. `place` says where hidden states are kept. By default, they are kept on the device if they
    fit there, otherwise in host memory, and otherwise on disk.
    """

    stack: Stack
    device: str
    dtype: Any
    check: Callable[[], None] = lambda: None
    on_layer: Callable[[int], None] = lambda _index: None
    place: StatesPlace | None = None

    def __post_init__(self) -> None:
        _place_outer_parts(self.stack, self.device)
        move_all_but(self.stack.model, self.stack.layers, self.device, self.dtype)

    @property
    def layers(self) -> int:
        return len(self.stack.layers)

    def batches(self, rows: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
        """Batches of rows of equal length, as large as the device's memory allows."""
        return in_batches(rows, tokens_at_once(self.stack, self.device, max(map(len, rows))))

    def steps(self, batches: Batches) -> Iterator[Step]:
        """Yield the layers in order. Every step must run each batch exactly once before the next step begins."""
        yield from self._steps(self._inputs(batches))

    def run(self, batches: Batches, each_layer: Callable[[int, int, Any], None] | None = None) -> list[Any]:
        """The input of lm_head for each batch: the hidden states after the final norm, [rows, tokens, hidden].

        `each_layer` gets the number of a layer, the number of a batch, and the layer's output for this batch.
        """
        inputs = self._inputs(batches)
        for step in self._steps(inputs):
            for batch in range(len(batches)):
                output = step.run(batch)
                if each_layer is not None:
                    each_layer(step.index, batch, output)
        self.finish(batches, inputs)
        return inputs.hidden

    def finish(self, batches: Batches, inputs: Inputs) -> None:
        """Replace the output of the last layer by the input of lm_head."""
        backbone = Backbone(self.stack.model)
        for batch, rows in enumerate(batches):
            self.check()
            with computed(self.stack, inputs.hidden[batch].to(self.device)):
                self._place.put(inputs, batch, backbone.states(rows))

    def _inputs(self, batches: Batches) -> Inputs:
        self._place = self.place or self._choose_place(batches)
        try:
            return capture(self.stack, batches, self.device, self.dtype, self._place.keep, self.check, self.device)
        except UnsupportedModel as error:
            raise FaqError(
                f'{error.reason}, so this model cannot be read layer by layer: set target.read = "whole"'
            ) from error

    def _steps(self, inputs: Inputs) -> Iterator[Step]:
        import torch

        for index, layer in layers_ahead(self.stack, self.device):
            self.on_layer(index)
            layer.to(self.device)

            def run(batch: int, index: int = index, layer: Any = layer) -> Any:
                self.check()
                with torch.inference_mode():
                    out = layer(inputs.hidden[batch].to(self.device), **inputs.of(batch, index))
                    out = inputs.hidden_after(batch, index, out)
                self._place.put(inputs, batch, out)
                return out

            try:
                yield Step(index, layer, run)
            finally:
                release(layer)

    def _choose_place(self, batches: Batches) -> StatesPlace:
        tokens = sum(len(row) for batch in batches for row in batch)
        return place_of_states(states_bytes(self.stack, tokens, self.dtype), self.device)


def _place_outer_parts(stack: Stack, device: str) -> None:
    """Let `device` be the device of the whole model.

    The device of a module is that of its first parameter. Some models use it to place the embedded tokens, and their
    first parameter belongs to a vision part, which was not read.
    """
    import torch

    parts = [module for module in stack.model.modules() if any(inner is stack.base for inner in module.modules())]
    for part in parts:
        name, first = next(part.named_parameters())
        if first.is_meta and part is not stack.base:
            owner, _, own = name.rpartition(".")
            values = torch.zeros(first.shape, dtype=first.dtype, device=device)
            setattr(part.get_submodule(owner), own, torch.nn.Parameter(values, requires_grad=False))


def network_of(model: Any) -> Any:
    """The module whose submodules are the layers. `model` is a Hugging Face model or a `LayerStream`."""
    return model.stack.model if isinstance(model, LayerStream) else model


def tokens_at_once(stack: Stack, device: str, longest: int) -> int:
    """The largest number of tokens per batch for which a layer's intermediate values fit into memory.

    The intermediate values take about as much memory as six copies of the layer's widest tensor in float32.
    """
    layer, config = stack.layers[0], stack.base.config.get_text_config()
    token = 24 * max(size for weight in layer.parameters() if weight.dim() > 1 for size in weight.shape[-2:])
    if config._attn_implementation == "eager":  # eager attention stores the whole attention matrix, in two dtypes
        token += 8 * getattr(config, "num_attention_heads", 0) * longest
    return work_bytes(device) // int(token)


def layers_ahead(stack: Stack, device: str) -> Iterator[tuple[int, Any]]:
    """Yield (number, layer) in order. A thread reads the next layer while the caller uses the present one.

    On a GPU, the weights are read into pinned memory, from which a copy to the GPU is fast.
    """
    with ThreadPoolExecutor(1, "read-layer") as pool:
        following = pool.submit(_read, stack, 0, device)
        for index in range(len(stack.layers)):
            layer = following.result()
            if index + 1 < len(stack.layers):
                following = pool.submit(_read, stack, index + 1, device)
            yield index, layer


def _read(stack: Stack, index: int, device: str) -> Any:
    layer = stack.layer(index)
    if is_cuda(device):
        for parameter in layer.parameters():
            if parameter.device.type == "cpu":
                parameter.data = parameter.data.pin_memory()
    return layer


def release(layer: Any) -> None:
    """Free the layer's parameters. The layer's buffers stay in memory, because no file holds them."""
    for module in layer.modules():
        for name, parameter in module.named_parameters(recurse=False):
            module._parameters[name] = type(parameter)(parameter.data.to("meta"), requires_grad=False)
    return_freed_memory()
