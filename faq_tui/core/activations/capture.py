"""Run rows of token ids through a model, and measure the inputs of chosen modules.

In some models, experts are fused: the library transformers stores the weights of all experts of a layer in two
parameters. The parameter gate_up_proj has the shape [experts, 2 x width, hidden], and the parameter down_proj has the
shape [experts, hidden, width]. PyTorch's hooks see only the inputs of modules, and down_proj is not a module.
Therefore this file computes the input of down_proj again for each expert, by the formulas of the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations.module_refs import (
    EXPERTS,
    ModuleRef,
    find_experts,
    find_module_refs,
    find_single_experts,
)
from faq_tui.core.activations.sinks import LayerSink, SinkMeter
from faq_tui.core.activations.statistics import SLICES, Accumulator, Moments, Run, Statistics, statistics
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.chat.token_kinds import KINDS, QUESTION
from faq_tui.core.models.experts import Layout, down_input, is_unfused
from faq_tui.core.models.layer_stream import LayerStream, network_of
from faq_tui.core.models.stack import UnsupportedModel, find_stack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Counts = NDArray[np.int64]


def tokens_per_expert(experts: Any, chosen: Any) -> Any:
    """The number of tokens that each expert gets, int64 [experts].

    `chosen` holds the numbers of the experts that were chosen for each token, [tokens, experts per token].
    """
    import torch

    flat = chosen.reshape(-1)
    return torch.bincount(flat[(flat >= 0) & (flat < experts.num_experts)], minlength=experts.num_experts)


def routed_tokens(experts: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The number of tokens that each expert gets, int64 [experts].

    `args` and `kwargs` are the arguments of a call of `experts`.
    """
    states, chosen = (*args, *kwargs.values(), None)[:2]
    if chosen is not None:
        return tokens_per_expert(experts, chosen)
    return (states.reshape(experts.num_experts, -1, states.shape[-1]) != 0).any(-1).sum(-1)


def expert_inputs(experts: Any, states: Any, chosen: Any) -> Iterator[tuple[Any, Any, Any]]:
    """For each expert that gets a token, yield (sorted token numbers, input of gate_up_proj, input of down_proj).

    If `chosen` is None, `states` holds one copy of all tokens for each expert. In this copy, the tokens that the
    expert does not get are zero. Raises FaqError if the experts have an unknown form.
    """
    try:
        if not is_unfused(experts):
            Layout.of(experts)
    except (FaqError, AttributeError) as error:
        raise FaqError(
            f'the inputs of {type(experts).__name__} cannot be measured: remove "experts" from activations.modules'
        ) from error
    copies = None if chosen is not None else states.view(experts.num_experts, -1, states.shape[-1])
    for number in range(experts.num_experts):
        given = states if copies is None else copies[number]
        mask = (chosen == number) if copies is None else given != 0
        tokens = mask.any(-1).nonzero().view(-1)
        if len(tokens):
            own = given[tokens]
            yield tokens, own, down_input(experts, number, own)


DEFAULT_MODULES = ("o_proj",)
Rows = Sequence[Sequence[int]]  # token ids


@dataclass(frozen=True)
class AtPlace:
    """The results for one module's input x: statistics, the largest |x| of each channel, and the landscape of |x|.

    The landscape is a coarse map of |x|. Each cell of the map holds the largest |x| in one range of tokens and one
    group of channels. The first axis divides the tokens of all rows, one row after the other, into `SLICES` equal
    ranges. The second axis divides the channels into at most 256 groups of neighbouring channels. `absmax` and the
    landscape exclude each row's first token.
    """

    statistics: Statistics
    absmax: Floats  # [channels]
    landscape: Floats  # [slices, columns]


@dataclass(frozen=True)
class Measured:
    """The result of `measure`. `experts` maps each layer to the number of tokens that each of its experts got.

    `sinks` has one entry for each decoder layer. `sinks` is empty if the model is not a plain stack of decoder
    layers. `rows` has one dict for each row of token ids. The dict maps each module's input to two results: the
    moments of the input, and the largest |x| of each channel. If `measure` was called without `per_row`, `rows` is
    empty.
    """

    places: dict[ModuleRef, AtPlace]
    experts: dict[int, Counts] = field(default_factory=dict)
    rows: list[dict[ModuleRef, tuple[Moments, Floats]]] = field(default_factory=list)
    sinks: list[LayerSink] = field(default_factory=list)


def measure(
    model: Any,
    rows: Sequence[Sequence[int]],
    modules: Sequence[str] = DEFAULT_MODULES,
    *,
    kinds: Sequence[Sequence[int]] | None = None,
    per_row: bool = False,
    cancel: CancelToken | None = None,
    tick: Callable[[int], None] | None = None,
) -> Measured:
    """Run each row of token ids through `model` once, without batching, and measure the inputs of `modules`.

    `model` is a `LayerStream`, or a Hugging Face causal LM in eval mode, on any device, in float32, bfloat16 or
    float16. The model's lm_head is not run. `modules` lists the last parts of module names, for example `o_proj`. The
    word `experts` in this list stands for fused experts. For each token of each row, `kinds` holds an index into
    `token_kinds.KINDS`. By default, all tokens are question tokens. A row's first token always counts as the
    attention sink. If `per_row` is true, the results of each row are also kept. The results of the rows take one
    float of memory for each row and channel. `tick` is called after each row with the row's number of tokens.

    For each module, the function keeps a few numbers per channel, one landscape and one histogram in memory. The size
    of these data does not depend on the number of tokens. The activations of a layer are freed before the next layer
    runs.

    Raises UsageError if the model has none of the `modules`, and FaqError if an input contains NaN or infinity. After
    a cancel, the function finishes the current row and raises Stopped.
    """
    import torch

    if not any(len(row) for row in rows):
        raise FaqError("there are no tokens to measure: assemble the calibration set first")
    network = network_of(model)
    device = model.device  # both a model and a LayerStream have this attribute
    capture = _Capture(network, device, modules, rows, per_row, kinds)
    check = cancel.check if cancel is not None else lambda: None
    try:
        with torch.inference_mode():
            if isinstance(model, LayerStream):
                _by_layers(model, rows, capture, check, tick)
            else:
                _whole(model, rows, capture, check, tick)
            return capture.result()
    finally:
        capture.remove()


def _whole(
    model: Any, rows: Rows, capture: _Capture, check: Callable[[], None], tick: Callable[[int], None] | None
) -> None:
    import torch

    body = model.get_decoder() if hasattr(model, "get_decoder") else model
    for number, ids in enumerate(rows):
        check()
        if not len(ids):
            continue
        with capture.row(number):
            body(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False)
        if tick is not None:
            tick(len(ids))


def _by_layers(
    stream: LayerStream, rows: Rows, capture: _Capture, check: Callable[[], None], tick: Callable[[int], None] | None
) -> None:
    """Run all rows through one layer after the other.

    Each row runs once through every layer. Therefore `tick` gets the number of processed tokens divided by the number
    of layers, so that its numbers add up to the number of all tokens.
    """
    numbers = [number for number, ids in enumerate(rows) if len(ids)]
    done = told = 0
    for step in stream.steps([[rows[number]] for number in numbers]):
        capture.begin_layer(step.index)
        for batch, number in enumerate(numbers):
            check()
            with capture.row(number):
                step.run(batch)
            done += len(rows[number])
            if tick is not None and done // stream.layers > told:
                tick(done // stream.layers - told)
                told = done // stream.layers


class _Capture:
    """Holds the hooks of one pass through the model, and the accumulators that the hooks fill."""

    def __init__(
        self,
        model: Any,
        device: Any,
        modules: Sequence[str],
        rows: Rows,
        per_row: bool,
        kinds: Sequence[Sequence[int]] | None,
    ) -> None:
        import torch

        self.device, self.per_row = device, per_row
        self.lengths = [len(row) for row in rows]
        self.starts = [0, *accumulate(self.lengths)]
        self.kinds_of_rows = kinds
        self.kinds: Any = None
        self.slices: Any = None
        self.runs: list[Run] = []
        self.rows: list[dict[ModuleRef, tuple[Moments, Floats]]] = [{} for _ in rows] if per_row else []
        self.experts: dict[int, Any] = {}
        places = find_module_refs(model, modules)
        self.accumulators = {ref: Accumulator(len(KINDS), self.device) for ref in places}
        self.hooks = [
            module.register_forward_pre_hook(self._linear(ref), with_kwargs=True) for ref, module in places.items()
        ]
        for layer, name, module in find_experts(model):
            inputs: tuple[ModuleRef, ...] = ()
            if EXPERTS in modules:
                inputs = (ModuleRef(layer, f"{name}.gate_up_proj"), ModuleRef(layer, f"{name}.down_proj"))
                self.accumulators |= {ref: Accumulator(len(KINDS), self.device) for ref in inputs}
            self.hooks.append(module.register_forward_pre_hook(self._experts(layer, inputs), with_kwargs=True))
        self.meter, self.measuring = SinkMeter(), False
        self.hooks += [
            layer.register_forward_pre_hook(self._layer(index), with_kwargs=True)
            for index, layer in enumerate(_layers_of(model))
        ]
        self.running = self.accumulators  # the accumulators of the layers that run now
        single = list(find_single_experts(model))
        for layer, number, module in single:
            count = sum(1 for other, _, _ in single if other == layer)
            self.experts.setdefault(layer, torch.zeros(count, dtype=torch.int64))
            self.hooks.append(module.register_forward_pre_hook(self._single(layer, number), with_kwargs=True))

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def begin_layer(self, layer: int) -> None:
        """After each row, update only the accumulators of this layer, because the other layers do not run."""
        self.running = {ref: one for ref, one in self.accumulators.items() if ref.layer == layer}

    @contextmanager
    def row(self, number: int) -> Iterator[None]:
        """Inside this context, the hooks count all inputs as inputs of the row `number`."""
        import torch

        length, start, total = self.lengths[number], self.starts[number], self.starts[-1]
        own = [KINDS.index(QUESTION)] * length if self.kinds_of_rows is None else list(self.kinds_of_rows[number])
        own[0] = 0
        self.kinds = torch.tensor(own, device=self.device)
        self.slices = [(start + index) * SLICES // total for index in range(length)]
        self.runs = _runs(self.slices)
        self.measuring = True
        yield
        self.measuring = False
        ended = {ref: accumulator.end_row() for ref, accumulator in self.running.items()}
        if self.per_row:
            self.rows[number] |= {
                ref: (Moments.of(sums[1:].sum(0).tolist(), float(peaks[1:].max())), absmax.cpu().numpy())
                for ref, (sums, peaks, absmax) in ended.items()
                if absmax is not None
            }

    def _layer(self, index: int) -> Callable[..., None]:
        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self.measuring:  # calls before the first row are not measured
                x = args[0] if args else next(iter(kwargs.values()))
                self.meter.add(index, x.reshape(-1, x.shape[-1]))

        return hook

    def _linear(self, ref: ModuleRef) -> Callable[..., None]:
        accumulator = self.accumulators[ref]

        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else next(iter(kwargs.values()))
            accumulator.add(x.reshape(-1, x.shape[-1]), self.kinds, self.runs, first_is_sink=True)

        return hook

    def _experts(self, layer: int, inputs: tuple[ModuleRef, ...]) -> Callable[..., None]:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            states, chosen = (*args, *kwargs.values(), None)[:2]
            states = states.reshape(-1, states.shape[-1])
            self.experts[layer] = self.experts.get(layer, 0) + routed_tokens(module, args, kwargs)
            for tokens, *tensors in expert_inputs(module, states, chosen) if inputs else ():
                numbers = tokens.tolist()
                runs = _runs([self.slices[number] for number in numbers])
                for ref, x in zip(inputs, tensors, strict=True):
                    self.accumulators[ref].add(x, self.kinds[tokens], runs, first_is_sink=numbers[0] == 0)

        return hook

    def _single(self, layer: int, number: int) -> Callable[..., None]:
        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else next(iter(kwargs.values()))
            self.experts[layer][number] += x.shape[:-1].numel()

        return hook

    def result(self) -> Measured:
        measured = {}
        for ref, accumulator in sorted(self.accumulators.items()):
            if accumulator.absmax is None or accumulator.histogram is None:
                continue  # no token was sent to these experts
            if not accumulator.finite:
                raise FaqError(
                    f"the input of {ref.module} in layer {ref.layer} holds NaN or infinity: the model's weights "
                    "are damaged, or values exceed the range of its dtype (set another target.dtype)"
                )
            measured[ref] = AtPlace(
                statistics(
                    accumulator.moments.cpu().numpy(),
                    accumulator.peaks.cpu().numpy(),
                    accumulator.histogram.freeze(),
                    accumulator.energy.cpu().numpy(),
                ),
                accumulator.absmax.cpu().numpy(),
                accumulator.landscape.cpu().numpy(),
            )
        experts = {layer: counts.cpu().numpy() for layer, counts in sorted(self.experts.items())}
        return Measured(measured, experts, self.rows, self.meter.result())


def _layers_of(model: Any) -> Sequence[Any]:
    """The decoder layers of `model`. The result is empty if the model is not a plain stack of decoder layers."""
    try:
        layers: Sequence[Any] = find_stack(model).layers
    except (UnsupportedModel, AttributeError):
        return ()
    return layers


def _runs(slices: Sequence[int]) -> list[Run]:
    """Split the tokens into ranges. Each range lies within one slice of the landscape."""
    runs: list[Run] = []
    start = 0
    for index in range(1, len(slices) + 1):
        if index == len(slices) or slices[index] != slices[start]:
            runs.append((start, index, slices[start]))
            start = index
    return runs
