"""Split fused experts into single matrices that can be quantized one by one.

transformers fuses the experts of a layer into two tensors.
"""

from __future__ import annotations

from typing import Any

from faq_tui.core.base.errors import FaqError


def is_fused(module: Any) -> bool:
    """True if the experts in `module` are fused.

    Fused experts have two tensors, of the shapes [experts, 2 · intermediate, hidden] and [experts, hidden,
    intermediate].
    """
    up, down = getattr(module, "gate_up_proj", None), getattr(module, "down_proj", None)
    return getattr(up, "dim", int)() == 3 and getattr(down, "dim", int)() == 3


def is_unfused(module: Any) -> bool:
    """True if `module` is a result of `unfuse_block`."""
    return bool(getattr(module, "unfused", False))


def unfuse_experts(model: Any) -> None:
    """Replace every fused block of experts in `model` (a model or one layer) by single matrices, in place."""
    for name, module in list(model.named_modules()):
        if is_fused(module):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, unfuse_block(module))


def unfuse_block(fused: Any) -> Any:
    """A module with the same outputs as `fused`, and with a Linear for each matrix: `0.gate_proj`, `0.up_proj`, …

    Raises FaqError if the experts are fused in another layout (with biases, or transposed).
    """
    import torch

    up, down, act_fn = fused.gate_up_proj.data, fused.down_proj.data, fused.act_fn
    count, twice, hidden = up.shape
    if down.shape != (count, hidden, twice // 2) or getattr(fused, "gate_up_proj_bias", None) is not None:
        raise FaqError(
            f"{type(fused).__name__} has experts in an unsupported form: "
            'use gptq with engine = "gptqmodel" for this model'
        )

    def linear(weight: Any) -> Any:
        module = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
        module.weight = torch.nn.Parameter(weight, requires_grad=False)
        return module

    class Experts(torch.nn.ModuleList):  # type: ignore[misc]
        unfused, num_experts = True, count

        @staticmethod
        def act_fn(states: Any) -> Any:
            return act_fn(states)

        def forward(self, states: Any, chosen: Any, weights: Any) -> Any:
            result = torch.zeros_like(states)
            each, flat = chosen.shape[-1], chosen.reshape(-1)
            order = torch.argsort(flat, stable=True)
            tokens, shares = order // each, weights.reshape(-1)[order, None]
            # The index at which the tokens of each expert end. This is the only line at which the CPU waits for the
            # GPU.
            ends = torch.bincount(flat, minlength=count).cumsum(0)[:count].tolist()
            for expert, start, end in zip(self, [0, *ends], ends, strict=False):
                if end > start:
                    token = tokens[start:end]
                    state = states[token]
                    state = expert["down_proj"](act_fn(expert["gate_proj"](state)) * expert["up_proj"](state))
                    result.index_add_(0, token, (state * shares[start:end]).to(result.dtype))
            return result

    half = twice // 2
    return Experts(
        torch.nn.ModuleDict(
            {
                "gate_proj": linear(up[index, :half]),
                "up_proj": linear(up[index, half:]),
                "down_proj": linear(down[index]),
            }
        )
        for index in range(count)
    )
