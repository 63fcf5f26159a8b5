"""Quantize a group of weights between its minimum and maximum, quantize its scales, and detect outliers.

The weights of a group have the shape [..., group, out]. Every output row has its own scale and zero point, so scales
and zero points have the shape [..., out]. `...` stands for the batch dimension of matrices that are quantized
together, or for no dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

TINY = 6e-8  # the smallest positive float16


@dataclass(frozen=True)
class Grid:
    """The dequantized values are ŵ = scale * (q - zero) with q = 0 … 2^bits - 1.

    `zero` need not be a whole number.
    """

    scale: Any  # [..., out]
    zero: Any  # [..., out]
    bits: int

    def codes(self, weights: Any, out: Any = None) -> Any:
        """The codes q of `weights` [..., out], as floats. If `out` is given, the codes are written to it."""
        import torch

        return torch.addcdiv(self.zero, weights, self.scale, out=out).round_().clamp_(0, 2**self.bits - 1)

    def values(self, codes: Any, out: Any = None) -> Any:
        import torch

        return torch.sub(codes, self.zero, out=out).mul_(self.scale)

    def rounded(self, weights: Any) -> Any:
        """The dequantized weights of a whole group, [..., group, out]."""
        whole = Grid(self.scale[..., None, :], self.zero[..., None, :], self.bits)
        return whole.values(codes := whole.codes(weights), codes)


def fit(low: Any, high: Any, bits: int) -> Grid:
    """Compute the scale s = (max - min) / (2^b - 1) and the zero point z = -min / s (SpQR, section 4.3).

    The scale is at least 1/2048 of the largest |weight|. For a row of almost equal weights, a smaller scale would
    give a zero point that is too large for float16.
    """
    import torch

    least = torch.maximum(low.abs(), high.abs()) / 2048
    scale = torch.maximum((high - low) / (2**bits - 1), least).clamp_(min=TINY)
    return Grid(scale, -low / scale, bits)


def fit_group(weights: Any, bits: int) -> Grid:
    low, high = weights.aminmax(dim=-2)
    return fit(low, high, bits)


def stored(grid: Grid) -> Grid:
    """The same grid with its scale and zero point rounded to float16."""
    return Grid(grid.scale.half().float().clamp(min=TINY), grid.zero.half().float(), grid.bits)


@dataclass(frozen=True)
class Level:
    """Values that are quantized in runs.

    A run is a sequence of neighbouring values. Each run has codes, a minimum and a step.

    The minimum itself is stored, not the ratio minimum / step. A large ratio would multiply the rounding error of the
    step, which is stored in float16.
    """

    codes: Any  # [..., runs, group] uint8; the last run is padded
    step: Any  # [..., runs] float16
    least: Any  # [..., runs] float16

    def decode(self, count: int) -> Any:
        """Decode the first `count` values as float32 [..., count]."""
        whole = self.least.float()[..., None] + self.step.float()[..., None] * self.codes.float()
        return whole.flatten(-2)[..., :count]


def second_level(values: Any, bits: int, group: int) -> Level:
    """Quantize `values` [..., out], which are the scales or zeros of a group of columns.

    If the last run is short, it is padded with the last value.
    """
    import torch

    padding = -values.shape[-1] % group
    if padding:
        values = torch.cat([values, values[..., -1:].expand(*values.shape[:-1], padding)], -1)
    runs = values.unflatten(-1, (-1, group))
    low, high = runs.aminmax(dim=-1)
    least = low.half()
    step = ((high - least.float()) / (2**bits - 1)).clamp_(min=TINY).half()
    codes = ((runs - least.float()[..., None]) / step.float()[..., None]).round_().clamp_(0, 2**bits - 1)
    return Level(codes.to(torch.uint8), step, least)


def likely_outliers(weights: Any, diagonal: Any, bits: int, threshold: Any) -> Any:
    """Find the weights that are likely outliers. Returns a mask [..., group, out].

    The error of a row is E = sum(((ŵ - w) / U_jj)²). To test a weight, the error E is computed without this weight.
    The weight is an outlier if E falls by more than `threshold`. `diagonal` holds U_jj and has the shape [...,
    group]. `threshold` is a number, or has the shape [..., out]. The grid of a row depends only on its minimum and
    maximum, so a new grid is needed only to test the minimum and the maximum. For any other weight, the grid stays
    the same, and only the weight's term is removed from the sum.
    """
    import torch

    inverse = diagonal.square().reciprocal()[..., None]

    def terms(grid: Grid) -> Any:
        return (grid.rounded(weights) - weights).square_().mul_(inverse)

    (low, least), (high, most) = weights.min(-2), weights.max(-2)
    own = terms(fit(low, high, bits))
    gain = own
    if weights.shape[-2] > 1:
        whole, gain = own.sum(-2), own.clone()
        second = weights.scatter(-2, least[..., None, :], math.inf).amin(-2)
        second_high = weights.scatter(-2, most[..., None, :], -math.inf).amax(-2)
        for index, bottom, top in ((least, second, high), (most, low, second_high)):
            # If a row has only two weights and one of them is left out, the other weight is both minimum and maximum.
            without = terms(fit(torch.minimum(bottom, top), torch.maximum(bottom, top), bits))
            at = index[..., None, :]
            left = without.sum(-2, keepdim=True) - without.gather(-2, at)
            gain.scatter_(-2, at, whole[..., None, :] - left)
    return gain > (threshold[..., None, :] if torch.is_tensor(threshold) else threshold)


def without(weights: Any, outliers: Any) -> Any:
    """Replace the outliers in `weights`. The new value of an outlier is the mean of the row's other weights.

    A row that has only outliers is not changed.
    """
    import torch

    kept = ~outliers
    others = kept.sum(-2, keepdim=True)
    mean = (weights * kept).sum(-2, keepdim=True) / others.clamp(min=1)
    return torch.where(outliers & (others > 0), mean, weights)
