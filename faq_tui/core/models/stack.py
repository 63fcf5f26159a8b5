"""Find the decoder layers of a causal model, and record the arguments with which the model calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.tensor_map import TensorMap


@dataclass
class Stack:
    """The decoder layers.

    `name` is the attribute path of the list of layers, such as `model.layers`. `base` is the model without its head.
    `load` takes the number of a layer, reads the layer's weights and returns the layer. `load` is None if all weights
    are already loaded. `places` maps the model's parameters to tensors in its files; it is None for a model without
    files.
    """

    base: Any
    name: str
    layers: Any  # nn.ModuleList
    load: Callable[[int], Any] | None = None
    places: TensorMap | None = None

    def layer(self, index: int) -> Any:
        """The layer with its weights."""
        return self.layers[index] if self.load is None else self.load(index)

    def stored(self, index: int, module: str) -> str:
        """The name in the files of a matrix of the layer `index`. `module` is its name inside the layer."""
        name = f"{self.name}.{index}.{module}"
        return name if self.places is None else self.places.module(name)


class UnsupportedModel(FaqError):
    """The walk cannot quantize this model. `advice` says what to do instead."""

    def __init__(self, reason: str, advice: str = "use another method for this model") -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


def find_stack(model: Any) -> Stack:
    """Find the decoder layers of `model`. Raises UnsupportedModel if it is not a plain stack of decoder layers."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    base = model.get_decoder()
    outer = next((f"{name}." for name, module in model.named_modules() if name and module is base), "")
    for name, module in base.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return Stack(base, f"{outer}{name}", module)
    raise UnsupportedModel(f"{type(model).__name__} is not a plain stack of {count} layers")


@dataclass
class Inputs:
    """The arguments of the layers: the hidden states of each batch, and the other arguments of each layer.

    All rows of a batch have the same length.
    """

    hidden: list[Any] = field(default_factory=list)  # one tensor [rows, tokens, hidden] per batch
    # For each shape (rows, tokens) of a batch, a list of the layers' other arguments.
    arguments: dict[tuple[int, int], list[dict[str, Any]]] = field(default_factory=dict)

    def of(self, batch: int, layer: int) -> dict[str, Any]:
        """The arguments of `layer` besides the hidden states.

        Masks and positions depend only on the number and the length of the rows.
        """
        return self.arguments[self.hidden[batch].shape[:2]][layer]


def in_batches(rows: Sequence[Sequence[int]], tokens: int) -> list[list[Sequence[int]]]:
    """Batches of rows of equal length, in the order of the rows.

    A batch has at most `tokens` tokens. A row with more tokens is a batch by itself.

    Rows are not padded, so every row gives the same result as if it were alone.
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
    """Embed `batches` on `device` in `dtype`, and record the arguments of every layer.

    The layers are not computed.

    During this function, `device` holds the model's base without its layers. Hidden states are kept on the device
    `store`. Raises UnsupportedModel if another argument of a layer depends on the tokens. `Inputs.arguments` cannot
    hold such an argument, because it has only one set of arguments for all batches of the same shape.
    """
    import torch

    inputs = Inputs()
    compared: set[tuple[int, int]] = set()
    _move_all_but(stack.base, stack.layers, device, dtype)
    try:
        with _Calls(stack.layers) as calls, torch.no_grad():
            for batch in batches:
                check()
                ids = torch.tensor([list(row) for row in batch], device=device)
                _call_base(stack, ids, calls)
                inputs.hidden.append(calls.seen[0].hidden.to(store))
                arguments = [call.arguments for call in calls.seen]
                size = (len(batch), len(batch[0]))
                before = inputs.arguments.setdefault(size, arguments)
                if before is not arguments and size not in compared:
                    compared.add(size)
                    if not all(map(_equal, before, arguments)):
                        kind = type(stack.layers[0]).__name__
                        raise UnsupportedModel(f"{kind} gets more arguments than supported")
    finally:
        _move_all_but(stack.base, stack.layers, "cpu", None)
    return inputs


@dataclass(frozen=True)
class LayerCall:
    hidden: Any
    arguments: dict[str, Any]  # all other arguments, by name


class _Calls:
    """Replace each layer's `forward` while the context is open.

    The new `forward` only records the call in `seen`, and returns the hidden states unchanged. If `in_tuple` is true,
    it returns them as the first entry of a tuple, because some models expect a tuple from a layer. The layers are not
    replaced, because models read attributes of a layer, such as the type of attention.
    """

    def __init__(self, layers: Any) -> None:
        self.layers = layers
        self.seen: list[LayerCall] = []
        self.in_tuple = False

    def __enter__(self) -> _Calls:
        for layer in self.layers:
            layer.forward = self._pass_on(layer)  # this instance attribute takes precedence over the class's method
        return self

    def __exit__(self, *_: object) -> None:
        for layer in self.layers:
            layer.__dict__.pop("forward", None)

    def _pass_on(self, layer: Any) -> Callable[..., Any]:
        names = list(inspect.signature(type(layer).forward).parameters)[1:]

        def forward(*given: Any, **named: Any) -> Any:
            arguments = {**dict(zip(names, given, strict=False)), **named}
            if len(given) > len(names) or not names or names[0] not in arguments:
                raise UnsupportedModel(f"{type(layer).__name__} takes its arguments in an unsupported form")
            hidden = arguments.pop(names[0])
            self.seen.append(LayerCall(hidden, arguments))
            return (hidden, None) if self.in_tuple else hidden

        return forward

    def plausible(self) -> bool:
        """True if all layers were called with hidden states of the same shape."""
        return len(self.seen) == len(self.layers) and len({call.hidden.shape for call in self.seen}) == 1


def _call_base(stack: Stack, ids: Any, calls: _Calls) -> None:
    """Call the model's base once, and record the calls of its layers.

    If the base cannot use the hidden states that a layer returns, the call is repeated with tuples.
    """
    error: Exception | None = None
    for in_tuple in dict.fromkeys((calls.in_tuple, True)):
        calls.seen.clear()
        calls.in_tuple = in_tuple
        try:
            stack.base(input_ids=ids, use_cache=False)
        except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as problem:
            if isinstance(problem, NotImplementedError) or "memory" in str(problem):
                raise
            error = problem
            continue
        if calls.plausible():
            return
    kind = type(stack.layers[0]).__name__
    raise UnsupportedModel(f"{kind} is called in an unsupported form") from error


def _equal(one: Any, other: Any) -> bool:
    """True if two arguments of a layer hold equal tensors."""
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
    """Move `base`, but not its `layers`, to the device and dtype.

    Buffers keep their dtype, because rotary frequencies in bfloat16 would change the positions.
    """
    held = {id(tensor) for tensor in [*layers.parameters(), *layers.buffers()]}
    for module in base.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in held:
                getattr(module, name).data = parameter.data.to(device, dtype)
        for name, buffer in module.named_buffers(recurse=False):
            if id(buffer) not in held:
                module._buffers[name] = buffer.to(device)
