"""The decoder layers of a causal model, and what the model itself hands to each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.errors import FaqError


@dataclass
class Stack:
    """`name`: of the list of layers in the model, such as `model.layers`; `base` holds it, without the head."""

    base: Any
    name: str
    layers: Any  # nn.ModuleList


def find_stack(model: Any) -> Stack:
    """Raises FaqError if `model` is no plain stack of decoder layers."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    base = model.get_decoder()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return Stack(base, name, module)
    raise FaqError(f"{type(model).__name__} is no plain stack of {count} layers: use gptq or awq for this model")


@dataclass
class Inputs:
    """What goes into the layers: a hidden state a sample, and each layer's other arguments."""

    hidden: list[Any] = field(default_factory=list)  # [1, tokens, hidden] each
    arguments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)  # length -> by layer

    def of(self, sample: int, layer: int) -> dict[str, Any]:
        """Masks and positions depend on a row's length alone, since every row is a batch of its own."""
        return self.arguments[self.hidden[sample].shape[1]][layer]


def capture(
    stack: Stack,
    rows: Sequence[Sequence[int]],
    device: str,
    dtype: Any,
    store: str,
    check: Callable[[], None],
) -> Inputs:
    """Embed `rows` on `device` in `dtype` and note what every layer would be called with; no layer computes.

    Everything of the base but its layers is there meanwhile. Hidden states are kept on `store`.
    """
    import torch

    inputs = Inputs()
    seen: list[dict[str, Any]] = []

    def pass_through(layer: Any) -> Callable[..., Any]:
        def forward(hidden: Any, *rest: Any, **named: Any) -> Any:
            if rest:
                raise FaqError(f"{type(layer).__name__} takes positional arguments: use gptq or awq for this model")
            if not seen:
                inputs.hidden.append(hidden.to(store))
            seen.append(named)
            return hidden

        return forward

    _move_all_but(stack.base, stack.layers, device, dtype)
    try:
        for layer in stack.layers:
            layer.forward = pass_through(layer)
        with torch.no_grad():
            for row in rows:
                check()
                seen.clear()
                stack.base(input_ids=torch.tensor([list(row)], device=device), use_cache=False)
                inputs.arguments.setdefault(len(row), list(seen))
    finally:
        for layer in stack.layers:
            layer.__dict__.pop("forward", None)
        _move_all_but(stack.base, stack.layers, "cpu", None)
    return inputs


def _move_all_but(base: Any, layers: Any, device: str, dtype: Any) -> None:
    """Buffers keep their type: rotary frequencies in bfloat16 would place tokens wrongly."""
    held = {id(tensor) for tensor in [*layers.parameters(), *layers.buffers()]}
    for module in base.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in held:
                getattr(module, name).data = parameter.data.to(device, dtype)
        for name, buffer in module.named_buffers(recurse=False):
            if id(buffer) not in held:
                module._buffers[name] = buffer.to(device)
