"""A shard: some of the calibration batches, and the device on which they pass through the layers.

With several devices, each device gets a shard of the batches and a copy of the present layer. Hidden states stay on
the device of their shard, or at the place where this shard keeps them. Only Hessians and solved weights move between
devices. With one device, the only shard has all batches.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.devices import is_cuda
from faq_tui.core.models.hidden_states import StatesPlace
from faq_tui.core.models.stack import Inputs, UnsupportedModel
from faq_tui.core.quantizing.sequential.groups import (
    SEPARATE_EXPERTS,
    ModuleGroup,
    expert_blocks,
    has_separate_experts,
    linears,
    place_of_expert,
    uneven_tokens,
)
from faq_tui.core.quantizing.sequential.hessian import Hessian
from faq_tui.core.quantizing.sequential.kept_outputs import KeptOutputs
from faq_tui.core.quantizing.sequential.weights import Weighted


class _Captured(Exception):
    """A hook raises this exception after it has recorded the inputs of a group.

    The rest of the layer is then skipped.
    """


@dataclass
class _Teacher:
    """A copy of a layer from before its quantization.

    The copy is called with the hidden states of the unquantized model.
    """

    layer: Any
    forward: Callable[[Any, int], Any]  # returns the hidden states after `layer` for the batch with this number
    kept: KeptOutputs

    def call(self, batch: int) -> Any:
        with self.kept.during(batch):
            return self.forward(self.layer, batch)

    def input_of(self, module: str, batch: int) -> Any:
        """The input of `module`, [rows, tokens, in_features]."""
        found: list[Any] = []

        def hook(_module: Any, args: tuple[Any, ...]) -> None:
            found.append(args[0])
            raise _Captured

        handle = self.layer.get_submodule(module).register_forward_pre_hook(hook)
        try:
            with suppress(_Captured):
                self.call(batch)
        finally:
            handle.remove()
        return found[0]


@dataclass
class Shard:
    """Some of the batches, and the present layer on the shard's device.

    `begin_layer` must be called first for each layer. All other methods use the layer of the last call.
    """

    device: str
    inputs: Inputs
    place: StatesPlace  # where hidden states are kept
    check: Callable[[], None]  # raises an exception to end the work of this shard
    weighted: Sequence[Weighted] = ()  # the tokens' weights of each batch; empty if all tokens count once
    # The hidden states of the unquantized model. Only methods that compare the quantized and the unquantized model
    # need these hidden states.
    unquantized: Inputs | None = None
    layer: Any = None
    index: int = 0
    modules: dict[str, Any] = field(default_factory=dict)  # all Linear modules of the layer that are quantized
    _kept: Any = None
    _teacher: _Teacher | None = None

    @property
    def batches(self) -> range:
        return range(len(self.inputs.hidden))

    def begin_layer(self, index: int, layer: Any, room: int) -> None:
        """Use `layer`, which is on the shard's device.

        Outputs that are kept for later passes take at most `room` bytes. If the unquantized model is also run, its
        outputs take at most the same amount again.
        """
        self.index, self.layer, self.modules = index, layer, linears(layer)
        blocks = [] if not is_cuda(self.device) or has_separate_experts(layer) else expert_blocks(layer)
        self._kept, self._teacher = KeptOutputs(layer, self.modules, room, blocks), None
        if self.unquantized is not None:
            twin, unquantized = copy.deepcopy(layer), self.unquantized

            def forward(module: Any, batch: int) -> Any:
                return self.forward(module, unquantized, batch)

            kept = KeptOutputs(twin, linears(twin), room)
            for name in self.modules:
                kept.solved(name)  # the weights of the unquantized layer do not change
            self._teacher = _Teacher(twin, forward, kept)

    def end_layer(self) -> None:
        """Replace the hidden states of each batch by the outputs of the layer, and forget the layer."""
        for batch in self.batches:
            self.place.put(self.inputs, batch, self._call(batch))
            if self._teacher is not None and self.unquantized is not None:
                self.place.put(self.unquantized, batch, self._teacher.call(batch))
        self.layer, self.modules, self._kept, self._teacher = None, {}, None, None

    def set_weight(self, name: str, weight: Any) -> None:
        """Give a module its weight [out, in]. The weight is moved to the device and dtype of the module."""
        module = self.modules[name]
        module.weight.data = weight.to(module.weight)

    def solved(self, modules: Iterable[str]) -> None:
        """Record that the weights of these modules have their final values."""
        for name in modules:
            self._kept.solved(name)

    def forward(self, layer: Any, inputs: Inputs, batch: int) -> Any:
        """The hidden states [rows, tokens, hidden] after `layer`, for one batch of `inputs`."""
        self.check()
        out = layer(inputs.hidden[batch].to(self.device), **inputs.of(batch, self.index))
        return inputs.hidden_after(batch, self.index, out)

    def pass_smallest(self) -> Any:
        """Pass the batch with the fewest tokens through the layer."""
        smallest = min(self.batches, key=lambda batch: math.prod(self.inputs.sizes[batch]))
        return self.forward(self.layer, self.inputs, smallest)

    def _call(self, batch: int) -> Any:
        with self._kept.during(batch):
            return self.forward(self.layer, self.inputs, batch)

    def hessians(self, group: ModuleGroup) -> dict[str, Hessian]:
        """The Hessians of a group, from the batches of this shard.

        Modules that share an input have one Hessian, which has the name of the first of the modules.
        """
        shared, teacher = dict.fromkeys(group.inputs.values()), self._teacher
        if teacher is not None and (group.experts or len(shared) > 1):
            raise FaqError(
                "the routed experts of the quantized and the unquantized model get different tokens: "
                'use engine = "gptqmodel"'
            )
        hessians = {
            name: Hessian(self.modules[name].in_features, self.device, teacher is not None) for name in shared
        }
        unquantized: Any = None
        weights: dict[str, Weighted] = {}  # maps each name in `hessians` to the weights of its current tokens

        def take(name: str) -> Callable[[Any, tuple[Any, ...]], None]:
            def hook(_module: Any, args: tuple[Any, ...]) -> None:
                if weights:
                    _check_count(name, args[0], weights[name])
                hessians[name].add(args[0], unquantized, weights.get(name))
                if not group.experts:
                    raise _Captured

            return hook

        hooks = [self.modules[name].register_forward_pre_hook(take(name)) for name in hessians]
        if self.weighted and group.experts:
            hooks += _route(self.layer, list(hessians), lambda: self.weighted[batch], weights)
        try:
            for batch in self.batches:
                if self.weighted and not group.experts:
                    weights |= dict.fromkeys(hessians, self.weighted[batch])
                if teacher is not None:
                    unquantized = teacher.input_of(next(iter(shared)), batch)
                with suppress(_Captured):
                    self._call(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return hessians


def copy_to(device: str, layer: Any) -> Any:
    """A copy of `layer` on `device`. The weights are copied only once, directly to the device."""
    import torch

    moved = {
        id(one): torch.nn.Parameter(one.data.to(device), requires_grad=one.requires_grad)
        for one in layer.parameters()
    }
    return copy.deepcopy(layer, moved).to(device)


def twin_of(inputs: Inputs, place: StatesPlace) -> Inputs:
    """Inputs for the unquantized model, which are equal to `inputs` before the first layer."""
    return inputs.twin([place.keep(states) for states in inputs.hidden])


def split_batches(batches: Sequence[Sequence[Sequence[int]]], parts: int, hidden: int) -> list[list[int]]:
    """Divide batches into at most `parts` shares that take about the same time.

    Returns the numbers of the batches in each share. No share is empty. `hidden` is the model's hidden size. A layer
    has about 12 · hidden² weights. So a token takes 24 · hidden² operations in matrix products, and 2 · hidden ·
    length in the attention of a row with `length` tokens.
    """
    shares: list[list[int]] = [[] for _ in range(parts)]
    loads = [0] * parts
    costs = [len(batch) * len(batch[0]) * (12 * hidden + len(batch[0])) for batch in batches]
    for number in sorted(range(len(batches)), key=lambda number: (-costs[number], number)):
        least = loads.index(min(loads))
        shares[least].append(number)
        loads[least] += costs[number]
    return [sorted(share) for share in shares if share]


def _route(
    layer: Any, names: Sequence[str], batch: Callable[[], Weighted], weights: dict[str, Weighted]
) -> list[Any]:
    """Find the weights of the tokens that are routed to each expert. Returns the hooks.

    Whenever the layer calls a block of experts, the hook of the block writes the weights of each expert's tokens into
    `weights`. `batch` returns the weights of all tokens of the current batch. Raises UnsupportedModel if the experts
    are separate modules, because then only the model's own code knows which tokens it gives to an expert.
    """

    def take(numbered: list[tuple[str, int]]) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            everything = batch()
            for name, number in numbered:
                weights[name] = everything.at(module.tokens_of(number, *args, *kwargs.values()))

        return hook

    blocks: dict[str, list[tuple[str, int]]] = {}
    for name in names:
        block, number = place_of_expert(name)
        blocks.setdefault(block, []).append((name, number))
    if has_separate_experts(layer):
        raise UnsupportedModel(SEPARATE_EXPERTS)
    return [
        layer.get_submodule(block).register_forward_pre_hook(take(numbered), with_kwargs=True)
        for block, numbered in blocks.items()
    ]


def _check_count(name: str, inputs: Any, weights: Weighted) -> None:
    """Raise UnsupportedModel if the number of the module's tokens differs from the number of weights."""
    if inputs.shape[:-1].numel() != len(weights):
        raise UnsupportedModel(uneven_tokens(name))
