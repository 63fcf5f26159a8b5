"""The min-max quantizer of a group of weights: fit, second level, and which weights spoil it.

Weights of a group are [group, out]: every output row has its own scale and zero point, [out].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TINY = 6e-8  # the smallest positive float16


@dataclass(frozen=True)
class Grid:
    """ŵ = scale * (q - zero), q = 0 … 2^bits - 1; `zero` is not rounded."""

    scale: Any  # [out]
    zero: Any  # [out]
    bits: int

    def codes(self, weights: Any) -> Any:
        """[..., out] -> q as floats."""
        return (weights / self.scale + self.zero).round_().clamp_(0, 2**self.bits - 1)

    def values(self, codes: Any) -> Any:
        return self.scale * (codes - self.zero)

    def rounded(self, weights: Any) -> Any:
        return self.values(self.codes(weights))


def fit(low: Any, high: Any, bits: int) -> Grid:
    """s = (max - min) / (2^b - 1), z = -min / s, not forced through zero (SpQR, section 4.3).

    A row whose weights hardly differ gets a scale of at least a 2048th of them: float16 then holds its zero.
    """
    import torch

    least = torch.maximum(low.abs(), high.abs()) / 2048
    scale = torch.maximum((high - low) / (2**bits - 1), least).clamp_(min=TINY)
    return Grid(scale, -low / scale, bits)


def fit_group(weights: Any, bits: int) -> Grid:
    low, high = weights.aminmax(dim=0)
    return fit(low, high, bits)


def stored(grid: Grid) -> Grid:
    """With scale and zero as float16 keeps them: 16 bits each."""
    return Grid(grid.scale.half().float().clamp(min=TINY), grid.zero.half().float(), grid.bits)


@dataclass(frozen=True)
class Level:
    """Values quantized in runs of `group` neighbours: codes, and the least value and the step of each run.

    The least value itself is kept, and not its ratio to the step: that would be large, and a step of a few
    millionths has few digits in float16.
    """

    codes: Any  # [runs, group] uint8, padded at the end
    step: Any  # [runs] float16
    least: Any  # [runs] float16

    def decode(self, count: int) -> Any:
        """[count] float32."""
        return (self.least.float()[:, None] + self.step.float()[:, None] * self.codes.float()).reshape(-1)[:count]


def second_level(values: Any, bits: int, group: int) -> Level:
    """`values`: [out] scales or zeros of one group of columns. The last value pads a short run."""
    import torch

    padding = -len(values) % group
    runs = torch.cat([values, values[-1:].expand(padding)]).reshape(-1, group)
    low, high = runs.aminmax(dim=1)
    least = low.half()
    step = ((high - least.float()) / (2**bits - 1)).clamp_(min=TINY).half()
    codes = ((runs - least.float()[:, None]) / step.float()[:, None]).round_().clamp_(0, 2**bits - 1)
    return Level(codes.to(torch.uint8), step, least)


def likely_outliers(weights: Any, diagonal: Any, bits: int, threshold: float) -> Any:
    """[group, out] bool: E = sum(((ŵ - w) / U_jj)²) falls by more than `threshold` without the weight.

    `diagonal`: U_jj, [group]. Only a row's minimum and maximum change its fit when they are left out; any other
    weight takes away its own term, and so two further fits a row do.
    """
    import torch

    count, rows = weights.shape
    inverse = diagonal.square().reciprocal()[:, None]

    def terms(grid: Grid) -> Any:
        return (grid.rounded(weights) - weights).square_().mul_(inverse)

    own = terms(fit_group(weights, bits))
    gain = own.clone()
    if count > 1:
        whole = own.sum(0)
        two_low = weights.topk(2, dim=0, largest=False)
        two_high = weights.topk(2, dim=0)
        at = torch.arange(rows, device=weights.device)
        for index, low, high in (
            (two_low.indices[0], two_low.values[1], two_high.values[0]),
            (two_high.indices[0], two_low.values[0], two_high.values[1]),
        ):
            # Without the maximum of two weights the minimum is both ends, and the other way round.
            without = terms(fit(torch.minimum(low, high), torch.maximum(low, high), bits))
            gain[index, at] = whole - (without.sum(0) - without[index, at])
    return gain > threshold


def without(weights: Any, outliers: Any) -> Any:
    """`weights` with the outliers replaced by the mean of their row's others; a row of outliers stays."""
    import torch

    kept = ~outliers
    others = kept.sum(0)
    mean = (weights * kept).sum(0) / others.clamp(min=1)
    return torch.where(outliers & (others > 0), mean, weights)
