"""Split fused experts into single matrices that can be quantized one by one.

transformers fuses the experts of a layer into two tensors. The older GPT models have modules `Conv1D`, whose
weights have swapped axes. `Conv1D` modules become ordinary Linear modules, too.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import FaqError

# Maps each fused parameter to the single matrices that it holds.
EXPERT_PARTS: dict[str, tuple[str, ...]] = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}


class UnknownExperts(FaqError):
    """The experts of this model are fused in an unknown layout."""


@dataclass(frozen=True)
class Layout:
    """The form of a fused block of experts.

    `gate_up_proj` has the shape [experts, 2 · intermediate, hidden], and `down_proj` has the shape [experts, hidden,
    intermediate]. If `transposed` is true, the last two axes are swapped. If `interleaved` is true, the rows of gate
    and up alternate; otherwise all rows of gate come first.
    """

    count: int
    width: int  # intermediate size
    transposed: bool
    interleaved: bool
    biased: bool

    @classmethod
    def of(cls, block: Any) -> Layout:
        """The layout of a fused block. Raises UnknownExperts if the layout is unknown."""
        up, down = block.gate_up_proj.shape, block.down_proj.shape
        plain = up[2] == down[1] and up[1] == 2 * down[2]
        swapped = up[1] == down[2] and up[2] == 2 * down[1]
        if up[0] != down[0] or not (plain or swapped) or getattr(block, "has_post_expert_norm", False):
            raise UnknownExperts(f"{type(block).__name__} has experts in an unsupported form")
        biased = getattr(block, "gate_up_proj_bias", None) is not None
        return cls(
            up[0], down[2] if plain else down[1], not plain, not getattr(block, "is_concatenated", True), biased
        )

    @property
    def parameters(self) -> list[str]:
        """The names of the fused parameters."""
        return [name for part in EXPERT_PARTS for name in (part, f"{part}_bias")[: 1 + self.biased]]

    def suffix(self, parameter: str) -> str:
        return "bias" if parameter.endswith("_bias") else "weight"

    def inner(self, parameter: str) -> dict[str, slice | None]:
        """Maps each single matrix in `parameter` to its output rows; None stands for all rows."""
        if parameter.startswith("down_proj"):
            return {"down_proj": None}
        gate = slice(0, None, 2) if self.interleaved else slice(0, self.width)
        up = slice(1, None, 2) if self.interleaved else slice(self.width, None)
        return {"gate_proj": gate, "up_proj": up}

    def joined(self, gate: Any, up: Any) -> Any:
        """Join the values of gate and up [..., width] to [..., 2 · width], in the order of the fused rows."""
        import torch

        if self.interleaved:
            return torch.stack((gate, up), -1).flatten(-2)
        return torch.cat((gate, up), -1)

    def fused(self, weights: list[list[Any]]) -> Any:
        """Fuse the single matrices [experts][parts] into one parameter. Each matrix has the shape [out, in]."""
        import torch

        each = [one[0] if len(one) == 1 else self.joined(one[0].t(), one[1].t()).t() for one in weights]
        return torch.stack([weight.t() if self.transposed else weight for weight in each]).contiguous()


def is_fused(module: Any) -> bool:
    """True if the experts in `module` are fused: its tensors `gate_up_proj` and `down_proj` have three axes."""
    up, down = getattr(module, "gate_up_proj", None), getattr(module, "down_proj", None)
    return getattr(up, "dim", int)() == 3 and getattr(down, "dim", int)() == 3


def fused_blocks(model: Any) -> Iterator[tuple[str, Layout]]:
    """Yield (name, layout) for every fused block of experts. Raises UnknownExperts on an unknown layout."""
    for name, module in model.named_modules():
        if is_fused(module):
            yield name, Layout.of(module)


def transposed_matrices(model: Any) -> Iterator[str]:
    """The names of all modules `Conv1D`: linear modules whose weight has the shape [in, out]."""
    from transformers.pytorch_utils import Conv1D

    for name, module in model.named_modules():
        if isinstance(module, Conv1D):
            yield name


def is_unfused(module: Any) -> bool:
    """True if `module` is a result of `unfuse_block`."""
    return bool(getattr(module, "unfused", False))


def unfuse_experts(model: Any) -> None:
    """Replace every fused block of experts in `model` (a model or one layer) by single matrices, in place.

    Modules `Conv1D` become ordinary Linear modules.
    """
    for name, module in list(model.named_modules()):
        if is_fused(module):
            _replace(model, name, unfuse_block(module))
    for name in list(transposed_matrices(model)):
        module = model.get_submodule(name)
        _replace(model, name, _linear(module.weight.data.t(), module.bias))


def _replace(model: Any, name: str, module: Any) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _linear(weight: Any, bias: Any = None) -> Any:
    """A Linear with this weight [out, in]."""
    import torch

    module = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    module.weight = torch.nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        module.bias = torch.nn.Parameter(bias.data, requires_grad=False)
    return module


def unfuse_block(fused: Any) -> Any:
    """A module with the same outputs as `fused`, and with a Linear for each matrix: `0.gate_proj`, `0.up_proj`, …

    Raises UnknownExperts if the layout is unknown.
    """
    import torch

    layout = Layout.of(fused)
    gated = _gate_of(fused, layout)

    def output(expert: Any, state: Any) -> Any:
        return expert["down_proj"](gated(expert["gate_proj"](state), expert["up_proj"](state)))

    class Unfused(torch.nn.ModuleList):  # type: ignore[misc]
        unfused, num_experts = True, layout.count

        def down_input(self, number: int, states: Any) -> Any:
            return gated(self[number]["gate_proj"](states), self[number]["up_proj"](states))

    class Experts(Unfused):
        def tokens_of(self, number: int, _states: Any, chosen: Any, *_: Any) -> Any:
            """The indices of the tokens that expert `number` gets, in the order of the rows of the expert's input."""
            return (chosen.reshape(-1, chosen.shape[-1]) == number).nonzero()[:, 0]

        def forward(self, states: Any, chosen: Any, weights: Any) -> Any:
            result = torch.zeros_like(states)
            each, flat = chosen.shape[-1], chosen.reshape(-1)
            order = torch.argsort(flat, stable=True)
            tokens, shares = order // each, weights.reshape(-1)[order, None]
            # `ends` has the index at which the tokens of each expert end. The next line is the only one in which the
            # CPU waits for the GPU.
            ends = torch.bincount(flat, minlength=layout.count).cumsum(0)[: layout.count].tolist()
            for expert, start, end in zip(self, [0, *ends], ends, strict=False):
                if end > start:
                    token = tokens[start:end]
                    state = output(expert, states[token])
                    result.index_add_(0, token, (state * shares[start:end]).to(result.dtype))
            return result

    class SortedExperts(Unfused):
        """Llama 4 passes a copy of all tokens to each expert, in which the tokens of other experts are zero."""

        def tokens_of(self, _number: int, states: Any, *_: Any) -> Any:
            return torch.arange(states.numel() // states.shape[-1] // layout.count, device=states.device)

        def forward(self, states: Any) -> Any:
            copies = states.view(layout.count, -1, states.shape[-1])
            return torch.cat([output(expert, own) for expert, own in zip(self, copies, strict=True)])

    def matrices(index: int) -> dict[str, Any]:
        found = {}
        for parameter, parts in EXPERT_PARTS.items():
            weight, bias = getattr(fused, parameter).data[index], None
            weight = weight.t() if layout.transposed else weight
            if layout.biased:
                bias = getattr(fused, f"{parameter}_bias").data[index]
            for part, rows in layout.inner(parameter).items():
                assert part in parts
                of_part = slice(None) if rows is None else rows
                found[part] = _linear(weight[of_part], None if bias is None else bias[of_part])
        return found

    kind = SortedExperts if takes_sorted_copies(fused) else Experts
    return kind(torch.nn.ModuleDict(matrices(index)) for index in range(layout.count))


def takes_sorted_copies(fused: Any) -> bool:
    """True if `fused` takes only hidden states: one copy of all tokens for each expert, as in Llama 4."""
    return len(inspect.signature(type(fused).forward).parameters) == 2


def down_input(fused: Any, expert: int, states: Any) -> Any:
    """The input of one expert's `down_proj`, [tokens, intermediate], for hidden states [tokens, hidden].

    `fused` is a block of experts before or after `unfuse_block`.
    """
    import torch

    if is_unfused(fused):
        return fused.down_input(expert, states)
    layout = Layout.of(fused)
    weight = fused.gate_up_proj[expert]
    bias = fused.gate_up_proj_bias[expert] if layout.biased else None
    values = torch.nn.functional.linear(states, weight.t() if layout.transposed else weight, bias)
    gate, up = (values[..., rows] for rows in layout.inner("gate_up_proj").values())
    return _gate_of(fused, layout)(gate, up)


def _gate_of(fused: Any, layout: Layout) -> Callable[[Any, Any], Any]:
    """The function that a block applies to the values of gate and up.

    Some classes define this function as a method. For example, the method may clip the values.
    """
    from transformers.integrations import moe

    default = getattr(moe, "_default_apply_gate", None)
    own = getattr(type(fused), "_apply_gate", default)
    if own is default:
        act_fn = fused.act_fn
        return lambda gate, up: act_fn(gate) * up
    shell = copy.copy(fused)  # the method reads attributes such as the limit, but no weights
    shell._parameters = {}
    return lambda gate, up: shell._apply_gate(layout.joined(gate, up))
