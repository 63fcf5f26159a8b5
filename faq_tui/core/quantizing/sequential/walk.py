"""Quantize a model layer by layer. The input of each layer comes from the quantized layers before it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.devices import work_bytes
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.hidden_states import StatesPlace, place_of_states, states_bytes
from faq_tui.core.models.layer_stream import layers_ahead, return_freed_memory, tokens_at_once
from faq_tui.core.models.stack import Inputs, Stack, UnsupportedModel, capture, in_batches
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import (
    Ordering,
    Solve,
    SolveBatch,
    SolvedMatrix,
    UnsolvableMatrix,
    batch_matrices,
)
from faq_tui.core.quantizing.sequential.groups import (
    SEPARATE_EXPERTS,
    ModuleGroup,
    find_groups,
    has_separate_experts,
    linears,
    place_of_expert,
)
from faq_tui.core.quantizing.sequential.hessian import Hessian
from faq_tui.core.quantizing.sequential.kept_outputs import KeptOutputs
from faq_tui.core.quantizing.sequential.weights import TokenWeights, Weighted, padded

# If an expert gets less than this share of the tokens, it is only rounded, because its Hessian would be too
# inaccurate. The library gptqmodel does the same.
FEW_TOKENS = 0.005
# On a GPU, rows are padded to a multiple of this number of tokens (see `padded`).
CUDA_MULTIPLE = 32


# A function that takes a layer's number. If an earlier attempt has quantized this layer, the function returns a dict
# from the full name of each module to its weight [out, in], else None.
Restore = Callable[[int], dict[str, Any] | None]
# A function that is called when a layer is done. The function gets the number of the layer, and a dict from the full
# name of each module to its solved matrix.
Keep = Callable[[int, dict[str, SolvedMatrix]], None]


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
    forward: Callable[..., Any]  # returns the hidden states after `layer` for the batch with this number
    kept: KeptOutputs

    def call(self, batch: int) -> Any:
        with self.kept.during(batch):
            return self.forward(self.layer, batch=batch)

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
class LayerWalk:
    stack: Stack
    device: str
    ordering: Ordering
    solve: Solve
    keep: Keep
    restore: Restore
    progress: QuantizationProgress
    cancel: CancelToken
    own: Any = None  # the dtype in which the model's weights are stored
    tokens: int = 0  # total number of tokens in all rows
    place: StatesPlace | None = None  # where hidden states are kept; by default, on the device if they fit there
    scratch: Path | None = None  # the folder for hidden states that do not fit into memory
    weights: TokenWeights | None = None  # the tokens' weights in the Hessians; None if all tokens count once
    multiple: int = 0  # rows are padded to a multiple of this number of tokens; with 0, the device decides
    _weighted: list[Weighted] = field(default_factory=list)  # the weights of each batch

    def run(self, rows: Sequence[Sequence[int]]) -> None:
        """Quantize every layer of the stack.

        When a layer is done, `keep` is called with its solved modules, and the layer is freed.
        """
        weights = None if self.weights is None or self.weights.even else self.weights
        self.tokens = sum(map(len, rows))
        multiple = self.multiple or (CUDA_MULTIPLE if self.pads() else 1)
        try:
            self._run(*padded(rows, weights, multiple))
        except UnsupportedModel:
            if weights is not None or self.multiple or multiple == 1:
                raise
            # A module gets other tokens than its layer, so the padding tokens cannot get the weight 0 in this module.
            # Try again without padding.
            self._run(rows, None)

    def pads(self) -> bool:
        """True if rows are padded. A CPU needs time for each token, so padding would make it slower."""
        return self.device == "cuda"

    def _run(self, rows: Sequence[Sequence[int]], weights: TokenWeights | None) -> None:
        import torch

        # A CPU computes in float32, because bfloat16 is slow there. The weights are still stored in the model's
        # dtype.
        dtype = torch.float32 if self.device == "cpu" else None
        at_once = tokens_at_once(self.stack, self.device, max(map(len, rows)))
        batches = in_batches(rows, at_once)
        self._weighted = []
        if weights is not None:
            classes, values = in_batches(weights.classes, at_once), weights.values
            self._weighted = [Weighted.of(batch, values, self.device) for batch in classes]
        place = self.place or self._choose_place(dtype or self.stack.base.dtype)
        inputs = capture(self.stack, batches, self.device, dtype, place.keep, self.cancel.check)
        unquantized = None
        if self.ordering.alpha is not None:
            unquantized = inputs.twin([place.keep(states) for states in inputs.hidden])
        for index, layer in layers_ahead(self.stack, self.device):
            self.own = next(layer.parameters()).dtype
            unfuse_experts(layer)
            layer.to(self.device, dtype)
            with torch.no_grad():
                solved = self._layer(index, layer, inputs, unquantized, place)
            if solved is not None:
                self.keep(index, solved)
                self.progress.layer_done(index)
            layer.to("meta")
            return_freed_memory()
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def _choose_place(self, dtype: Any) -> StatesPlace:
        size = states_bytes(self.stack, self.tokens, dtype)
        return place_of_states(size if self.ordering.alpha is None else 2 * size, self.device, self.scratch)

    def _call(self, layer: Any, inputs: Inputs, index: int, batch: int) -> Any:
        """The hidden states [rows, tokens, hidden] after `layer`, for one batch."""
        self.cancel.check()
        out = layer(inputs.hidden[batch].to(self.device), **inputs.of(batch, index))
        return inputs.hidden_after(batch, index, out)

    def _layer(
        self, index: int, layer: Any, inputs: Inputs, unquantized: Inputs | None, place: StatesPlace
    ) -> dict[str, SolvedMatrix] | None:
        """Quantize one layer in place, and replace the layer's inputs by the outputs of the quantized layer.

        Inputs and outputs are hidden states.

        `unquantized` holds the hidden states of the unquantized model. Only methods that compare the quantized and
        the unquantized model need these hidden states. Returns None if an earlier attempt has quantized the layer.
        """

        teacher = None
        if unquantized is not None:
            twin = copy.deepcopy(layer)
            forward = partial(self._call, inputs=unquantized, index=index)
            teacher = _Teacher(twin, forward, KeptOutputs(twin, {}, self._room()))
        kept = KeptOutputs(layer, linears(layer), self._room())

        def call(batch: int) -> Any:
            with kept.during(batch):
                return self._call(layer, inputs, index, batch)

        restored = self.restore(index)
        solved = None if restored is not None else self._solved(index, layer, inputs, call, teacher, kept)
        named = {self.stack.stored(index, name): name for name in linears(layer)}
        for name, weight in (restored or {}).items():
            module = layer.get_submodule(named[name])
            module.weight.data = weight.to(self.own).to(module.weight)
        for batch in range(len(inputs.hidden)):
            place.put(inputs, batch, call(batch))
            if teacher is not None and unquantized is not None:
                place.put(unquantized, batch, teacher.call(batch))
        return solved

    def _room(self) -> int:
        """The number of bytes for outputs that are kept for later passes through a layer.

        On a GPU, the result is 0, because a GPU computes a layer quickly and has little memory.
        """
        return work_bytes(self.device) // 2 if self.device == "cpu" else 0

    def _solved(
        self,
        index: int,
        layer: Any,
        inputs: Inputs,
        call: Callable[[int], Any],
        teacher: _Teacher | None,
        kept: KeptOutputs,
    ) -> dict[str, SolvedMatrix]:
        """Quantize the modules of one layer in place, group by group."""
        smallest = min(range(len(inputs.hidden)), key=lambda batch: inputs.hidden[batch].shape[:2].numel())
        groups = find_groups(layer, lambda: self._call(layer, inputs, index, smallest))
        self.progress.start_layer(index, [name for group in groups for name in group.modules])
        modules, solved = linears(layer), dict[str, SolvedMatrix]()
        for group in groups:
            hessians = self._hessians(layer, modules, group, len(inputs.hidden), call, teacher)
            few = {
                name
                for name, hessian in hessians.items()
                if group.experts and hessian.tokens < max(1, FEW_TOKENS * self.tokens)
            }
            for part in batch_matrices(group, modules, few, work_bytes(self.device)):
                self._solve(index, modules, part, hessians, solved)
            for name in group.modules:
                kept.solved(name)
        return solved

    def _hessians(
        self,
        layer: Any,
        modules: dict[str, Any],
        group: ModuleGroup,
        batches: int,
        call: Callable[[int], Any],
        teacher: _Teacher | None,
    ) -> dict[str, Hessian]:
        """The Hessians of a group.

        Modules that share an input have one Hessian, which has the name of the first of the modules.
        """
        shared = dict.fromkeys(group.inputs.values())
        if teacher is not None and (group.experts or len(shared) > 1):
            raise FaqError(
                "the routed experts of the quantized and the unquantized model get different tokens: "
                'use engine = "gptqmodel"'
            )
        hessians = {name: Hessian(modules[name].in_features, self.device, teacher is not None) for name in shared}
        unquantized: Any = None
        weights: dict[str, Weighted] = {}  # maps each name in `hessians` to the weights of its current tokens

        def take(name: str) -> Callable[[Any, tuple[Any, ...]], None]:
            def hook(_module: Any, args: tuple[Any, ...]) -> None:
                if weights:
                    check_count(name, args[0], weights[name])
                hessians[name].add(args[0], unquantized, weights.get(name))
                if not group.experts:
                    raise _Captured

            return hook

        hooks = [modules[name].register_forward_pre_hook(take(name)) for name in hessians]
        if self._weighted and group.experts:
            hooks += _route(layer, list(hessians), lambda: self._weighted[batch], weights)
        try:
            for batch in range(batches):
                if self._weighted and not group.experts:
                    weights |= dict.fromkeys(hessians, self._weighted[batch])
                if teacher is not None:
                    unquantized = teacher.input_of(next(iter(shared)), batch)
                with suppress(_Captured):
                    call(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return hessians

    def _solve(
        self,
        index: int,
        modules: dict[str, Any],
        part: SolveBatch,
        hessians: dict[str, Hessian],
        solved: dict[str, SolvedMatrix],
    ) -> None:
        self.cancel.check()
        started = time.monotonic()
        try:
            weights = part.weights(modules)
            factor = part.factor(hessians, self.ordering)
            names = [[self.stack.stored(index, name) for name in sharing] for sharing in part.modules]
            results = self.solve(names, [weight.to(self.own) for weight in weights], factor, self.cancel.check)
        except UnsolvableMatrix as error:
            self.progress.broken(index, error.module, error)
            self.progress.check()
            raise
        solved |= results
        every = [(name, number) for number, sharing in enumerate(part.modules) for name in sharing]
        seconds = (time.monotonic() - started) / len(every)
        for name, number in every:
            result, module = results[self.stack.stored(index, name)], modules[name]
            if not math.isfinite(result.loss):
                self.progress.broken(index, name, "its weights are too large for the format of the scales")
                self.progress.check()
            module.weight.data = result.weight.to(module.weight)
            tokens = hessians[part.shared[number]].tokens
            note = f"rounded without calibration, because too few tokens reached it: {tokens}" if part.few else ""
            damp = float(factor.damp[number])
            self.progress.solved(index, name, None if part.few else result.loss, note, seconds, tokens, damp)


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


def check_count(name: str, inputs: Any, weights: Weighted) -> None:
    """Raise UnsupportedModel if the number of the module's tokens differs from the number of weights."""
    if inputs.shape[:-1].numel() != len(weights):
        raise UnsupportedModel(f"{name} does not get the same tokens as its layer, so the tokens cannot be weighted")
