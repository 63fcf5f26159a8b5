"""Hidden states through all layers, each quantized by what comes out of the quantized ones before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.cancel import CancelToken
from faq_tui.core.errors import FaqError
from faq_tui.core.models.devices import free_bytes
from faq_tui.core.models.experts import unfuse
from faq_tui.core.quantizing.hessian import Factor, Hessian, factorize, identity_factor
from faq_tui.core.quantizing.layers.groups import Group, find_groups, linears
from faq_tui.core.quantizing.layers.stack import Inputs, Stack, capture
from faq_tui.core.quantizing.progress import Progress

# Below this share of the tokens an expert's Hessian says more of chance than of its inputs; gptqmodel's too.
FEW_TOKENS = 0.005


@dataclass(frozen=True)
class Solved:
    """`weight`: [out, in] as it will be read back, in the model's own dtype; `tensors`: what is stored of it."""

    weight: Any
    loss: float
    tensors: dict[str, Any] = field(default_factory=dict)


# (full name, weight, factor, check) -> what becomes of it
Solve = Callable[[str, Any, Factor, Callable[[], None]], Solved]
# (layer, solved modules by full name): called when a layer is done
Keep = Callable[[int, dict[str, Solved]], None]


class _Captured(Exception):
    """The inputs of a group are known: the rest of the layer need not be computed."""


@dataclass
class LayerWalk:
    stack: Stack
    device: str
    damp: float
    by_activation: bool
    solve: Solve
    keep: Keep
    progress: Progress
    cancel: CancelToken
    own: Any = None  # the model's dtype
    tokens: int = 0  # of all rows

    def run(self, rows: Sequence[Sequence[int]]) -> None:
        """Quantize every layer in place of the stack; each is dropped from memory when `keep` has had it."""
        import torch

        self.own = next(self.stack.layers.parameters()).dtype
        # On a CPU bfloat16 is emulated or slow; the weights are rounded to the model's own type either way.
        dtype = torch.float32 if self.device == "cpu" else None
        self.tokens = sum(map(len, rows))
        inputs = capture(self.stack, rows, self.device, dtype, self._store(rows), self.cancel.check)
        for index, layer in enumerate(self.stack.layers):
            unfuse(layer)
            layer.to(self.device, dtype)
            with torch.no_grad():
                solved = self._layer(index, layer, inputs)
            self.keep(index, solved)
            self.progress.layer_done(index)
            layer.to("meta")
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def _store(self, rows: Sequence[Sequence[int]]) -> str:
        """Hidden states stay on the GPU if they take less than a third of it."""
        if self.device == "cpu":
            return "cpu"
        hidden = self.stack.base.config.get_text_config().hidden_size
        free = free_bytes(self.device)
        return self.device if free is None or 3 * 4 * hidden * sum(map(len, rows)) < free else "cpu"

    def _layer(self, index: int, layer: Any, inputs: Inputs) -> dict[str, Solved]:
        def call(sample: int) -> Any:
            self.cancel.check()
            out = layer(inputs.hidden[sample].to(self.device), **inputs.of(sample, index))
            return out[0] if isinstance(out, tuple) else out

        longest = max(range(len(inputs.hidden)), key=lambda sample: inputs.hidden[sample].shape[1])
        groups = find_groups(layer, lambda: call(longest))
        self.progress.start_layer(index, [name for group in groups for name in group.modules])
        modules, solved = linears(layer), dict[str, Solved]()
        for group in groups:
            hessians = self._hessians(modules, group, len(inputs.hidden), call)
            self._group(index, modules, group, hessians, solved)
        for sample in range(len(inputs.hidden)):
            inputs.hidden[sample] = call(sample).to(inputs.hidden[sample].device)
        return solved

    def _hessians(
        self, modules: dict[str, Any], group: Group, samples: int, call: Callable[[int], Any]
    ) -> dict[str, Hessian]:
        """By the module whose input is taken for all that share it."""
        hessians = {
            name: Hessian(modules[name].in_features, self.device) for name in dict.fromkeys(group.inputs.values())
        }

        def take(name: str) -> Callable[[Any, tuple[Any, ...]], None]:
            def hook(_module: Any, args: tuple[Any, ...]) -> None:
                hessians[name].add(args[0])
                if not group.experts:
                    raise _Captured

            return hook

        hooks = [modules[name].register_forward_pre_hook(take(name)) for name in hessians]
        try:
            for sample in range(samples):
                try:
                    call(sample)
                except _Captured:
                    continue
        finally:
            for hook in hooks:
                hook.remove()
        return hessians

    def _group(
        self,
        index: int,
        modules: dict[str, Any],
        group: Group,
        hessians: dict[str, Hessian],
        solved: dict[str, Solved],
    ) -> None:
        factors: dict[str, Factor] = {}
        for name in group.modules:
            self.cancel.check()
            started = time.monotonic()
            module, shared = modules[name], group.inputs[name]
            tokens = hessians[shared].tokens
            few = group.experts and tokens < max(1, FEW_TOKENS * self.tokens)
            try:
                if not bool(module.weight.isfinite().all()):
                    raise FaqError("its weights are not finite")
                if shared not in factors:
                    factors[shared] = (
                        identity_factor(module.in_features, self.device)
                        if few
                        else factorize(hessians[shared].mean(), self.damp, self.by_activation)
                    )
                full = f"{self.stack.name}.{index}.{name}"
                result = self.solve(full, module.weight.data.to(self.own), factors[shared], self.cancel.check)
            except FaqError as error:
                self.progress.broken(index, name, error)
                self.progress.check()
                raise
            module.weight.data = result.weight.to(module.weight)
            solved[full] = result
            note = f"rounded without calibration, too few tokens reached it: {tokens}" if few else ""
            damp, seconds = factors[shared].damp, time.monotonic() - started
            self.progress.solved(index, name, None if few else result.loss, note, seconds, tokens, damp)
            last = all(group.inputs[later] != shared for later in group.modules[group.modules.index(name) + 1 :])
            if last:
                factors.pop(shared)
                hessians.pop(shared)
