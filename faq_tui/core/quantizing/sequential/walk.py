"""Quantize a model layer by layer. The input of each layer comes from the quantized layers before it.

If there are several devices, each of them passes a share of the batches through the layer, and the Hessians of all
shares are summed (see shard.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.host_memory import return_freed_memory
from faq_tui.core.models.devices import free_bytes, is_cuda, work_bytes
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.hidden_states import StatesPlace, place_of_states, states_bytes
from faq_tui.core.models.layer_stream import layers_ahead, tokens_at_once
from faq_tui.core.models.stack import Stack, UnsupportedModel, capture, in_batches
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import (
    Ordering,
    Solve,
    SolveBatch,
    SolvedMatrix,
    UnsolvableMatrix,
    batch_matrices,
)
from faq_tui.core.quantizing.sequential.groups import find_groups, linears
from faq_tui.core.quantizing.sequential.hessian import Hessian, summed
from faq_tui.core.quantizing.sequential.shard import Shard, copy_to, split_batches, twin_of
from faq_tui.core.quantizing.sequential.team import Team
from faq_tui.core.quantizing.sequential.walk_check import refusal_of_weights
from faq_tui.core.quantizing.sequential.weights import TokenWeights, Weighted, padded

# If an expert gets less than this share of the tokens, it is only rounded, because its Hessian would be too
# inaccurate. The library gptqmodel does the same.
FEW_TOKENS = 0.005
# On a GPU, rows are padded to a multiple of this number of tokens (see `padded`).
CUDA_MULTIPLE = 32
# If there are several devices, each device gets at least about this number of batches, so that the batches can be
# divided evenly.
BATCHES_EACH = 4


# A function that takes a layer's number. If an earlier attempt has quantized this layer, the function returns a dict
# from the full name of each module to its weight [out, in], else None.
Restore = Callable[[int], dict[str, Any] | None]
# A function that is called when a layer is done. The function gets the number of the layer, and a dict from the full
# name of each module to its solved matrix.
Keep = Callable[[int, dict[str, SolvedMatrix]], None]


@dataclass
class LayerWalk:
    stack: Stack
    devices: Sequence[str]  # the batches are divided over these devices; modules are solved on the first one
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
    weights_required: bool = True  # if false, the weights are left out where the tokens cannot be weighted
    unweighted: str = ""  # the reason why the weights were left out; "" if they were not
    uneven: bool | None = None  # true if some modules get other tokens than their layer; None if this is not known
    sharing: int = 1  # number of jobs that use the same GPU; with several, the walk keeps no outputs on the GPU
    multiple: int = 0  # rows are padded to a multiple of this number of tokens; with 0, the device decides
    shards: list[Shard] = field(default_factory=list)  # one for each device that has batches

    def run(self, rows: Sequence[Sequence[int]]) -> None:
        """Quantize every layer of the stack.

        When a layer is done, `keep` is called with its solved modules, and the layer is freed.
        """
        weights = None if self.weights is None or self.weights.even else self.weights
        self.tokens = sum(map(len, rows))
        # In some models, a module gets other tokens than its layer. Then the padding tokens cannot get the weight 0.
        pads = self.pads() and not self._has_uneven_modules()
        multiple = self.multiple or (CUDA_MULTIPLE if pads else 1)
        known = len(self.progress.losses)
        try:
            self._run(*padded(rows, weights, multiple))
        except UnsupportedModel as error:
            required = weights is not None and self.weights_required
            same = weights is None and multiple == 1
            if required or same or self.multiple or self.stack.load is None:
                raise
            self.unweighted = error.reason if weights is not None else ""
            del self.progress.losses[known:]
            self._run(rows, None)

    def _has_uneven_modules(self) -> bool:
        return bool(refusal_of_weights(self.stack)) if self.uneven is None else self.uneven

    def pads(self) -> bool:
        """True if rows are padded. A CPU needs time for each token, so padding would make it slower."""
        return is_cuda(self.devices[0])

    def _run(self, rows: Sequence[Sequence[int]], weights: TokenWeights | None) -> None:
        import torch

        # A CPU computes in float32, because bfloat16 is slow there. The weights are still stored in the model's
        # dtype.
        dtype = torch.float32 if self.devices[0] == "cpu" else None
        with Team(self.devices, self.cancel.check) as team:
            self.shards = self._divided(rows, weights, dtype, team)
            _free_memory(self.devices)
            for index, layer in layers_ahead(self.stack, self.devices[0]):
                self.own = next(layer.parameters()).dtype
                unfuse_experts(layer)
                with torch.no_grad():
                    copies = [copy_to(shard.device, layer).to(dtype=dtype) for shard in self.shards[1:]]
                    layer.to(self.devices[0], dtype)
                    for shard, own in zip(self.shards, [layer, *copies], strict=True):
                        shard.begin_layer(index, own, self._room(shard, own))
                    del copies
                    solved = self._layer(index, team)
                if solved is not None:
                    self.keep(index, solved)
                    self.progress.layer_done(index)
                layer.to("meta")
                _free_memory(self.devices)

    def _divided(
        self, rows: Sequence[Sequence[int]], weights: TokenWeights | None, dtype: Any, team: Team
    ) -> list[Shard]:
        """Divide the rows into batches, and the batches over the devices."""
        count = len(self.devices)
        at_once = min(tokens_at_once(self.stack, device, max(map(len, rows))) for device in self.devices)
        if count > 1:
            at_once = min(at_once, sum(map(len, rows)) // (count * BATCHES_EACH))
        batches, weighted = in_batches(rows, at_once), list[Any]()
        if weights is not None:
            weighted = in_batches(weights.classes, at_once)
        shards = []
        hidden = self.stack.base.config.get_text_config().hidden_size
        for device, share in zip(self.devices, split_batches(batches, count, hidden), strict=False):
            own = [batches[number] for number in share]
            # The place is chosen when the hidden states of earlier shards are in memory already.
            place = self.place or self._choose_place(device, own, dtype or self.stack.base.dtype)
            inputs = capture(self.stack, own, device, dtype, place.keep, self.cancel.check)
            classes = [] if weights is None else [Weighted.of(weighted[one], weights.values, device) for one in share]
            twin = None if self.ordering.alpha is None else twin_of(inputs, place)
            shards.append(Shard(device, inputs, place, team.check, classes, twin))
        return shards

    def _choose_place(self, device: str, batches: Sequence[Sequence[Sequence[int]]], dtype: Any) -> StatesPlace:
        size = states_bytes(self.stack, sum(len(row) for batch in batches for row in batch), dtype)
        return place_of_states(size if self.ordering.alpha is None else 2 * size, device, self.scratch)

    def _layer(self, index: int, team: Team) -> dict[str, SolvedMatrix] | None:
        """Quantize one layer in place, and replace the layer's inputs by the outputs of the quantized layer.

        Inputs and outputs are hidden states. Returns None if an earlier attempt has quantized the layer.
        """
        restored = self.restore(index)
        solved = None if restored is not None else self._solved(index, team)
        named = {self.stack.stored(index, name): name for name in self.shards[0].modules}
        for name, weight in (restored or {}).items():
            for shard in self.shards:
                shard.set_weight(named[name], weight.to(self.own))
        team.each([shard.end_layer for shard in self.shards])
        return solved

    def _room(self, shard: Shard, layer: Any) -> int:
        """The number of bytes for outputs of `layer` that the shard keeps for later passes (see kept_outputs.py)."""
        if not is_cuda(shard.device):
            return work_bytes(shard.device) // (2 * len(self.shards))
        if self.sharing > 1:
            return 0
        inputs = [module.in_features for module in linears(layer).values()]
        room = room_on_gpu(
            free_bytes(shard.device) or 0, work_bytes(shard.device), inputs, shard.unquantized is not None
        )
        return room if shard.unquantized is None else room // 2

    def _solved(self, index: int, team: Team) -> dict[str, SolvedMatrix]:
        """Quantize the modules of one layer in place, group by group."""
        first, solved = self.shards[0], dict[str, SolvedMatrix]()
        groups = find_groups(first.layer, first.pass_smallest)
        self.progress.start_layer(index, [name for group in groups for name in group.modules])
        for group in groups:
            hessians = summed(team.each([partial(shard.hessians, group) for shard in self.shards]))
            few = {
                name
                for name, hessian in hessians.items()
                if group.experts and hessian.tokens < max(1, FEW_TOKENS * self.tokens)
            }
            for part in batch_matrices(group, first.modules, few, work_bytes(first.device)):
                self._solve(index, part, hessians, solved)
            for shard in self.shards:
                shard.solved(group.modules)
        return solved

    def _solve(
        self, index: int, part: SolveBatch, hessians: dict[str, Hessian], solved: dict[str, SolvedMatrix]
    ) -> None:
        self.cancel.check()
        started = time.monotonic()
        try:
            weights = part.weights(self.shards[0].modules)
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
            result = results[self.stack.stored(index, name)]
            if not math.isfinite(result.loss):
                self.progress.broken(index, name, "its weights are too large for the format of the scales")
                self.progress.check()
            for shard in self.shards:
                shard.set_weight(name, result.weight)
            tokens = hessians[part.shared[number]].tokens
            note = f"rounded without calibration, because too few tokens reached it: {tokens}" if part.few else ""
            damp = float(factor.damp[number])
            self.progress.solved(index, name, None if part.few else result.loss, note, seconds, tokens, damp)


def room_on_gpu(free: int, work: int, inputs: Sequence[int], twofold: bool) -> int:
    """The number of bytes of a GPU for outputs that are kept: half of what the rest of the layer's work leaves free.

    `free` is the free memory in bytes. `work` is what one step of a batched computation may take, and four such steps
    are reserved. `inputs` has the number of input features of each module of the layer. A Hessian is reserved for
    each module, and also a mean, a factor and a copy of the largest Hessian. `twofold` is true for a method that also
    compares with the unquantized model; its Hessians take twice as much.
    """
    squares = [(8 if twofold else 4) * columns**2 for columns in inputs]
    return max(0, free - 4 * work - sum(squares) - 3 * max(squares, default=0)) // 2


def _free_memory(devices: Sequence[str]) -> None:
    """Return unused memory to the system and to the driver."""
    import torch

    return_freed_memory()
    if is_cuda(devices[0]):
        torch.cuda.empty_cache()
