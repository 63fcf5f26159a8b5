"""Fused experts: how many tokens each one got, and the inputs of their two multiplications.

transformers keeps all experts of a layer in two parameters, gate_up_proj [experts, 2 x width, hidden] and
down_proj [experts, hidden, width]: no module stands between them, so what enters down_proj is computed again,
expert by expert, as the model's own code does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faq_tui.core.errors import FaqError


def tokens_per_expert(experts: Any, chosen: Any) -> Any:
    """int64 [experts]: `chosen` holds the experts' numbers of each token, [tokens, experts a token]."""
    import torch

    flat = chosen.reshape(-1)
    return torch.bincount(flat[(flat >= 0) & (flat < experts.num_experts)], minlength=experts.num_experts)


def expert_inputs(experts: Any, states: Any, chosen: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(token numbers in order, input of gate_up_proj, input of down_proj) of each expert that got a token.

    Raises FaqError for experts that are laid out in another way.
    """
    import torch

    weight = experts.gate_up_proj
    if (
        weight.dim() != 3
        or weight.shape[2] != states.shape[-1]
        or getattr(experts, "gate_up_proj_bias", None) is not None
    ):
        raise FaqError(
            f'activations.modules: the inputs of {type(experts).__name__} cannot be measured: leave "experts" out'
        )
    for number in range(experts.num_experts):
        tokens = (chosen == number).any(-1).nonzero().view(-1)
        if len(tokens):
            own = states[tokens]
            gate, up = torch.nn.functional.linear(own, weight[number]).chunk(2, dim=-1)
            yield tokens, own, experts.act_fn(gate) * up
