"""Quantize a model in memory with faq-tui's own walk and solvers, and measure its KL. Part of selection.py.

The model is loaded once. Each quantization reads its layers from this copy and writes the quantized weights into a
second copy. Nothing is packed and nothing is written to disk.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.evaluation.compare import measure
from faq_tui.core.evaluation.heldout import Item
from faq_tui.core.models.backbone import Backbone, LmHead
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.stack import find_stack
from faq_tui.core.quantizing.methods.gptq.matrix import GridChoice
from faq_tui.core.quantizing.methods.gptq.matrix import quantize_stack as gptq_stack
from faq_tui.core.quantizing.methods.spqr.matrix import Knobs
from faq_tui.core.quantizing.methods.spqr.matrix import quantize_stack as spqr_stack
from faq_tui.core.quantizing.methods.w8a8.format import rounded_per_token
from faq_tui.core.quantizing.methods.w8a8.matrix import quantize_stack as int8_stack
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import Ordering, Solve, SolvedMatrix
from faq_tui.core.quantizing.sequential.hessian import Factor
from faq_tui.core.quantizing.sequential.walk import LayerWalk
from faq_tui.core.quantizing.sequential.weights import TokenWeights
from faq_tui.core.settings.recipe import build_recipe

WIDTHS: Mapping[str, tuple[int, ...]] = {"gptq": (3, 4, 8), "gptaq": (3, 4, 8), "spqr": (3, 4, 8), "w8a8": (8,)}
DAMP = 0.05  # damping of GPTQ and GPTAQ
BATCH = 8  # rows in one batch of the evaluation
Texts = Mapping[str, Sequence[Item]]


def solver(method: str, bits: int, group: int) -> tuple[Ordering, Solve]:
    """The ordering and the solver of a method.

    SpQR and W8A8 have the defaults of their recipes. GPTQ and GPTAQ have the damping DAMP and no search for the
    scale, as in the stored results, so that a name always means the same options.

    Options follow the method's name, such as `gptq_desc_damp0.01`. All methods have `unordered`, which solves the
    columns in the order of the matrix, and `dampN`, the damping. Only gptq and gptaq have `desc` (`desc_act`) and
    `mse` (`scale_search`). GPTQ with 3 bits has no format on disk, but can be measured in memory.
    """
    method, *options = method.split("_")
    ordering, solve = _solver(method, bits, group, options)
    for option in options:
        if option == "unordered":
            ordering = replace(ordering, by_activation=False, group=0)
        elif option.startswith("damp"):
            ordering = replace(ordering, damp=float(option.removeprefix("damp")))
        elif option not in ("desc", "mse") or not method.startswith("gpt"):
            raise SystemExit(f"{method} has no option {option}")
    return ordering, solve


def _solver(method: str, bits: int, group: int, options: Sequence[str]) -> tuple[Ordering, Solve]:
    recipe: Any = build_recipe({"method": method})
    if method == "w8a8":
        return Ordering(recipe.damp_percent), _solve(
            lambda weights, factor, check: [
                (one.codes.float() * one.scale.float(), one.loss) for one in int8_stack(weights, factor, check)
            ]
        )
    if method == "spqr":
        knobs = Knobs(bits, group, recipe.outlier_threshold, recipe.scale_bits, recipe.scale_group)
        return Ordering(recipe.damp_percent), _solve(
            lambda weights, factor, check: [
                (one.weight, one.loss) for one in spqr_stack(weights, factor, knobs, check)
            ]
        )
    scattered = "desc" in options
    grid = GridChoice(bits, group, recipe.sym, "mse" in options, scattered)
    together = 0 if group == -1 or scattered else group
    ordering = Ordering(DAMP, True, together, getattr(recipe, "alpha", None))

    def dense(weights: list[Any], factor: Factor, check: Callable[[], None]) -> list[tuple[Any, Any]]:
        import torch

        found = []
        for made in gptq_stack(weights, factor, grid, check):
            each = [made.one(index).dense() for index in range(len(made.loss))]
            found.append((torch.stack(each), made.loss))
        return found

    return ordering, _solve(dense)


Dense = Callable[[list[Any], Factor, Callable[[], None]], list[tuple[Any, Any]]]


def _solve(dense: Dense) -> Solve:
    """Make the walk's solver from a function that returns (weights [batch, out, in], losses) for each position."""

    def solve(
        names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
    ) -> dict[str, SolvedMatrix]:
        solved = {}
        for position, (made, losses) in enumerate(dense(weights, factor, check)):
            for index, sharing in enumerate(names):
                weight = made[index].to(weights[position].dtype)
                solved[sharing[position]] = SolvedMatrix(weight, float(losses[index]))
        return solved

    return solve


@dataclass
class _Kept:
    """The unquantized model's hidden states, in memory. This object replaces the reference file of the evaluation."""

    head: LmHead
    kept: dict[int, Any]

    def put(self, index: int, states: Any) -> None:
        self.kept[index] = states.clone()

    def states(self, index: int) -> Any:
        return self.kept[index]


class Bench:
    """A model in memory, and the held-out texts on which its quantized copies are measured."""

    def __init__(self, folder: Path, device: str, dtype: str, trust_remote_code: bool = False) -> None:
        import torch

        self.device = device
        self.plain = load_dense(folder, getattr(torch, dtype), device, trust_remote_code)
        unfuse_experts(self.plain)
        self.quantized = copy.deepcopy(self.plain)
        self._hooks: list[Any] = []
        self._texts: Texts = {}
        self._references: dict[str, _Kept] = {}

    def hold_out(self, texts: Texts) -> None:
        """Measure the unquantized model on the texts, and keep its hidden states."""
        model = Backbone(self.plain)
        self._texts = texts
        for name, items in texts.items():
            kept = self._references[name] = _Kept(model.head, {})
            keep: Any = kept
            measure(model, items, BATCH, CancelToken(), lambda _tokens: None, keep=keep)

    def quantize(
        self, rows: Sequence[Sequence[int]], weights: TokenWeights | None, method: str, bits: int, group: int
    ) -> dict[str, float]:
        """Quantize on `rows`. Returns the seconds and the sum of the modules' losses."""
        import torch

        began = time.monotonic()
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        layers, stack = find_stack(self.plain).layers, find_stack(self.quantized)
        stack.load = lambda index: copy.deepcopy(layers[index])
        ordering, solve = solver(method, bits, group)
        cancel, losses, done = CancelToken(), list[float](), list[str]()

        def keep(_layer: int, solved: dict[str, SolvedMatrix]) -> None:
            for name, made in solved.items():
                weight = self.quantized.get_submodule(name).weight
                weight.data.copy_(made.weight)
                losses.append(made.loss)
                done.append(name)

        progress = QuantizationProgress(lambda *_, **__: None, cancel)
        walk = LayerWalk(stack, [self.device], ordering, solve, keep, lambda _layer: None, progress, cancel)
        walk.weights = weights
        walk.run(rows)
        self.quantized.to(self.device)
        if method.startswith("w8a8"):
            for name in done:
                module = self.quantized.get_submodule(name)
                self._hooks.append(module.register_forward_pre_hook(_round))
        if self.device == "cuda":
            torch.cuda.synchronize()
        return {"seconds": round(time.monotonic() - began, 3), "loss": sum(losses)}

    def divergence(self) -> dict[str, float]:
        """The mean KL per token of the quantized model on each held-out text, in nats."""
        model, found = Backbone(self.quantized), {}
        for name, items in self._texts.items():
            reference: Any = self._references[name]
            sums = measure(model, items, BATCH, CancelToken(), lambda _tokens: None, reference=reference)
            found[name] = sum(sums["kl"]) / sum(sums["tokens"])
        return found


def _round(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Round the inputs of a W8A8 module, as the servers do."""
    return (rounded_per_token(args[0]), *args[1:])
