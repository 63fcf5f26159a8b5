"""Layers of random weights and inputs with a few loud channels, and their Hessians."""

from __future__ import annotations

import math
from typing import Any

import torch

from faq_tui.core.quantizing.sequential.hessian import Hessian


def nothing() -> None:
    """No stop is asked for."""


def layer(seed: int = 0, out: int = 48, columns: int = 96, tokens: int = 400, loud: int = 4) -> tuple[Any, Any]:
    """A weight matrix with heavy tails, and inputs of which some channels are loud and many hang together."""
    dice = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, columns, generator=dice) * 0.02
    rare = torch.rand(out, columns, generator=dice) < 0.01
    weight[rare] *= 8
    mix = torch.randn(columns, columns, generator=dice) / math.sqrt(columns) + torch.eye(columns)
    inputs = torch.randn(tokens, columns, generator=dice) @ mix
    inputs[:, torch.randperm(columns, generator=dice)[:loud]] *= 20
    return weight, inputs


def hessian_of(inputs: Any) -> Any:
    found = Hessian(inputs.shape[1], "cpu")
    for part in inputs.split(64):
        found.add(part)
    return found.mean()
