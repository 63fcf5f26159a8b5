"""Find the decoder layers of a causal model, and record the arguments with which the model calls them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.tensor_map import TensorMap

MORE = object()  # stands for the second output of a layer while calls are recorded


@dataclass
class Stack:
    """The decoder layers.

    `name` is the attribute path of the list of layers, such as `model.layers`. `base` is the model without its head,
    and `model` is the whole model. `load` takes the number of a layer, reads the layer's weights and returns the
    layer. `load` is None if all weights are already loaded. `places` maps the model's parameters to tensors in its
    files; it is None for a model without files. `in_tuple` is true if the base expects a tuple from each layer, with
    the hidden states as its first entry; `capture` sets it.
    """

    base: Any
    name: str
    layers: Any  # nn.ModuleList
    load: Callable[[int], Any] | None = None
    model: Any = None
    places: TensorMap | None = None
    in_tuple: bool = False

    def layer(self, index: int) -> Any:
        """The layer with its weights."""
        return self.layers[index] if self.load is None else self.load(index)

    def stored(self, index: int, module: str) -> str:
        """The name that the files give to the matrix `module` of the layer `index`."""
        name = f"{self.name}.{index}.{module}"
        return name if self.places is None else self.places.module(name)


class UnsupportedModel(FaqError):
    """The layers of this model cannot be run one at a time. `advice` says what to do instead."""

    def __init__(self, reason: str, advice: str = "use another method for this model") -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


def find_stack(model: Any) -> Stack:
    """Find the decoder layers of `model`.

    Raises UnsupportedModel if the model is not a plain stack of decoder layers.
    """
    import torch

    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    if count is None:
        raise UnsupportedModel(f"{type(model).__name__} is not one stack of layers")
    base = model.get_decoder()
    outer = next((f"{name}." for name, module in model.named_modules() if name and module is base), "")
    for name, module in base.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return Stack(base, f"{outer}{name}", module, model=model)
    raise UnsupportedModel(f"{type(model).__name__} is not a plain stack of {count} layers")


@dataclass
class Inputs:
    """The arguments with which the model calls its layers.

    `hidden` has the hidden states of each batch, and `arguments` has the other arguments of each layer.

    All rows of a batch have the same length.
    """

    # One tensor per batch: [rows, tokens, hidden]. Some models have several states for each token, or put a prompt
    # before the tokens.
    hidden: list[Any] = field(default_factory=list)

    # Maps the shape (rows, tokens) of a batch to a list that has, for each layer, a dict of the arguments besides the
    # hidden states.
    arguments: dict[tuple[int, int], list[dict[str, Any]]] = field(default_factory=dict)

    # For each batch, a list that has, for each layer, a dict of the arguments that no other batch may use: tensors
    # that depend on the tokens, and containers in which earlier layers leave values for later ones.
    own: list[list[dict[str, Any]]] = field(default_factory=list)
    device: str = "cpu"  # where the layers run
    sizes: list[tuple[int, int]] = field(default_factory=list)  # (rows, tokens) of each batch
    passed: str = ""  # the argument that gets the second output of the layer before; "" if the model has none

    def of(self, batch: int, layer: int) -> dict[str, Any]:
        """The arguments of `layer` besides the hidden states.

        Most of these arguments, such as masks and positions, depend only on the number and the length of the rows.
        """
        shared = self.arguments[self.sizes[batch]][layer]
        own = self.own[batch][layer]
        return shared | {name: _moved(value, self.device) for name, value in own.items()}

    def hidden_after(self, batch: int, layer: int, output: Any) -> Any:
        """The hidden states in the `output` of `layer`. If the next layer gets the second output, it is kept."""
        if self.passed and layer + 1 < len(self.own[batch]):
            more = output[1] if isinstance(output, tuple | list) and len(output) > 1 else None
            self.own[batch][layer + 1][self.passed] = _moved(more, "cpu")
        return hidden_of(output)

    def twin(self, hidden: list[Any]) -> Inputs:
        """The same arguments for other hidden states. Containers for values of layers are not shared."""
        copies: dict[int, Any] = {}
        own = [
            [
                {
                    name: copies.setdefault(id(value), copy.copy(value)) if _is_container(value) else value
                    for name, value in layer.items()
                }
                for layer in batch
            ]
            for batch in self.own
        ]
        return replace(self, hidden=hidden, own=own)


def hidden_of(output: Any) -> Any:
    """The hidden states in the output of a layer."""
    return output[0] if isinstance(output, tuple | list) else output


def in_batches(rows: Sequence[Sequence[int]], tokens: int) -> list[list[Sequence[int]]]:
    """Group rows of equal length into batches. Rows of the same length keep their order.

    A batch has at most `tokens` tokens. If a single row has more tokens, it is a batch by itself.

    Rows are not padded, so the result for a row does not depend on the other rows.
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
    store: str | Callable[[Any], Any],
    check: Callable[[], None],
    back: str = "cpu",
) -> Inputs:
    """Embed `batches` on `device` in `dtype`, and record the arguments of every layer.

    The function does not run the layers.

    While this function runs, the model's base is on `device`, but its layers are not. At the end, the function moves
    the base to the device `back`. Hidden states are kept on the device `store`. If `store` is a function, it gets the
    hidden states of a batch and returns the tensor to keep. Raises UnsupportedModel if the model computes something
    between two layers.
    """
    import torch

    inputs = Inputs(device=device)
    varying: dict[
        tuple[int, int], list[set[str]]
    ] = {}  # for each shape and layer, arguments that depend on the tokens
    move_all_but(stack.base, stack.layers, device, dtype)
    try:
        with _calls_recorded(stack) as calls, torch.no_grad():
            for batch in batches:
                check()
                ids = torch.tensor([list(row) for row in batch], device=device)
                _call_base(stack, ids, calls)
                first = calls[0].hidden
                inputs.hidden.append(store(first) if callable(store) else first.to(store))
                inputs.passed = _passed(calls)
                arguments = [call.arguments for call in calls]
                size = (len(batch), len(batch[0]))
                inputs.sizes.append(size)
                before = inputs.arguments.setdefault(size, arguments)
                if before is not arguments and size not in varying:
                    varying[size] = [
                        {name for name in other if not _equal(one.get(name), other[name])}
                        for one, other in zip(before, arguments, strict=True)
                    ]
                names = varying.get(size) or [set()] * len(arguments)
                inputs.own.append(
                    [
                        {
                            name: _moved(value, "cpu")
                            for name, value in layer.items()
                            if name in dependent or _is_container(value)
                        }
                        for layer, dependent in zip(arguments, names, strict=True)
                    ]
                )
    finally:
        move_all_but(stack.base, stack.layers, back, None)
    return inputs


@dataclass(frozen=True)
class LayerCall:
    hidden: Any
    arguments: dict[str, Any]  # all other arguments of the layer, by name


@contextmanager
def _calls_recorded(stack: Stack) -> Iterator[list[LayerCall]]:
    """Replace each layer's `forward` by a function that only records the call and returns the hidden states
    unchanged.

    The layers themselves are not replaced, because models read attributes of a layer, such as the type of attention.
    """

    calls: list[LayerCall] = []

    def pass_on(layer: Any) -> Callable[..., Any]:
        names = list(inspect.signature(type(layer).forward).parameters)[1:]

        def forward(*given: Any, **named: Any) -> Any:
            arguments = {**dict(zip(names, given, strict=False)), **named}
            if len(given) > len(names) or not names or names[0] not in arguments:
                raise UnsupportedModel(f"{type(layer).__name__} takes its arguments in an unsupported form")
            hidden = arguments.pop(names[0])
            calls.append(LayerCall(hidden, arguments))
            return (hidden, MORE) if stack.in_tuple else hidden

        return forward

    with replaced(stack.layers, pass_on):
        yield calls


def _call_base(stack: Stack, ids: Any, calls: list[LayerCall]) -> None:
    """Call the model's base once, and record the calls of its layers.

    If the base cannot use the hidden states that a layer returns, the call is repeated with tuples. Raises
    UnsupportedModel if the base computes something between its layers.
    """
    errors: list[Exception] = []
    before = stack.in_tuple
    for in_tuple in dict.fromkeys((before, True)):
        calls.clear()
        stack.in_tuple = in_tuple
        try:
            stack.base(input_ids=ids, use_cache=False)
        except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as problem:
            if isinstance(problem, NotImplementedError) or "memory" in str(problem):
                raise
            errors.append(problem)
            continue
        if len(calls) == len(stack.layers) and len({call.hidden.shape for call in calls}) == 1:
            break
    else:
        stack.in_tuple = before
        limit = getattr(stack.base.config.get_text_config(), "max_position_embeddings", None)
        beyond = isinstance(limit, int) and ids.shape[1] > limit > 0
        if beyond and any(isinstance(error, IndexError | RuntimeError) for error in errors):
            raise UnsupportedModel(
                f"a row has {ids.shape[1]} tokens, but {type(stack.base).__name__} reads at most {limit}",
                f"use shorter rows, for example with assemble.max_tokens = {limit}",
            ) from errors[0]
        raise UnsupportedModel(f"{type(stack.layers[0]).__name__} is called in an unsupported form") from (
            errors[-1] if errors else None
        )
    if not all(_equal(call.hidden, calls[0].hidden) for call in calls):
        raise UnsupportedModel(f"{type(stack.base).__name__} computes something between its layers")


def _passed(calls: list[LayerCall]) -> str:
    """The argument in which each layer gets the second output of the layer before; "" if the model has none.

    In `calls`, the value of this argument becomes None.
    """
    found = ""
    for call in calls:
        for name, value in call.arguments.items():
            if value is MORE:
                found = name
                call.arguments[name] = None
    return found


@contextmanager
def computed(stack: Stack, hidden: Any) -> Iterator[None]:
    """Replace the layers' `forward`, so that the output of the last layer is `hidden` without any computation."""
    layers = stack.layers

    def pass_on(layer: Any) -> Callable[..., Any]:
        def forward(given: Any, *_: Any, **__: Any) -> Any:
            out = hidden if layer is layers[-1] else given
            return (out, None) if stack.in_tuple else out

        return forward

    with replaced(layers, pass_on):
        yield


@contextmanager
def replaced(layers: Iterable[Any], forward_of: Callable[[Any], Callable[..., Any]]) -> Iterator[None]:
    """Let each layer call the function that `forward_of` returns for it, instead of its own `forward`."""
    try:
        for layer in layers:
            layer.forward = forward_of(layer)  # this attribute hides the class's method `forward`
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _is_container(value: Any) -> bool:
    """True if an argument is an empty container. A model passes one to its layers so that they leave values in it."""
    return isinstance(value, MutableMapping | MutableSequence) and not value


def _moved(value: Any, device: str) -> Any:
    """The argument with its tensors on `device`. Dicts and lists stay the same objects, because layers fill them."""
    import torch

    if torch.is_tensor(value):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved(one, device) for one in value)
    return value


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


def move_all_but(base: Any, layers: Any, device: str, dtype: Any) -> None:
    """Move `base`, but not its `layers`, to the device and dtype.

    Buffers keep their dtype, because rotary frequencies in bfloat16 would change the positions. Parts without
    weights, such as a vision tower that was not read, stay as they are.
    """
    held = {id(tensor) for tensor in [*layers.parameters(), *layers.buffers()]}
    for module in base.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in held and not parameter.is_meta:
                getattr(module, name).data = parameter.data.to(device, dtype)
        for name, buffer in module.named_buffers(recurse=False):
            if id(buffer) not in held:
                module._buffers[name] = buffer.to(device)
