"""The decoder layers of a causal model, and what the model itself hands to each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.base.errors import FaqError


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
    """What goes into the layers: hidden states of rows of one length, and each layer's other arguments."""

    hidden: list[Any] = field(default_factory=list)  # [rows, tokens, hidden] each
    arguments: dict[tuple[int, int], list[dict[str, Any]]] = field(default_factory=dict)  # rows, tokens -> by layer

    def of(self, batch: int, layer: int) -> dict[str, Any]:
        """Masks and positions depend on how many rows of which length there are, and on nothing else."""
        return self.arguments[self.hidden[batch].shape[:2]][layer]


def in_batches(rows: Sequence[Sequence[int]], tokens: int) -> list[list[Sequence[int]]]:
    """Rows of one length together, `tokens` or one row at most; lengths and rows in the order of their coming.

    Nothing is padded: every row is computed as if it were alone.
    """
    lengths: dict[int, list[Sequence[int]]] = {}
    for row in rows:
        lengths.setdefault(len(row), []).append(row)
    batches = []
    for length, alike in lengths.items():
        size = max(1, tokens // length)
        batches += [alike[start : start + size] for start in range(0, len(alike), size)]
    return batches


def capture(
    stack: Stack,
    batches: Sequence[Sequence[Sequence[int]]],
    device: str,
    dtype: Any,
    store: str,
    check: Callable[[], None],
) -> Inputs:
    """Embed `batches` on `device` in `dtype` and note what every layer would be called with; no layer computes.

    Everything of the base but its layers is there meanwhile. Hidden states are kept on `store`. Raises FaqError where
    a layer is handed more of the tokens than their hidden states.
    """
    import torch

    inputs = Inputs()
    seen: list[dict[str, Any]] = []
    compared: set[tuple[int, int]] = set()

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
            for batch in batches:
                check()
                seen.clear()
                stack.base(input_ids=torch.tensor([list(row) for row in batch], device=device), use_cache=False)
                size = (len(batch), len(batch[0]))
                before = inputs.arguments.setdefault(size, list(seen))
                if before[0] is not seen[0] and size not in compared:
                    compared.add(size)
                    if not all(map(_equal, before, seen)):
                        kind = type(stack.layers[0]).__name__
                        raise FaqError(f"{kind} is handed more than hidden states: use gptq or awq for this model")
    finally:
        for layer in stack.layers:
            layer.__dict__.pop("forward", None)
        _move_all_but(stack.base, stack.layers, "cpu", None)
    return inputs


def _equal(one: Any, other: Any) -> bool:
    """Whether two arguments of a layer hold the same tensors."""
    import torch

    if one is other:
        return True
    if torch.is_tensor(one):
        return torch.is_tensor(other) and one.shape == other.shape and bool(torch.equal(one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return True


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
