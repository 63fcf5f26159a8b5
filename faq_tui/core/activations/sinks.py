"""Measure how large the hidden states of the samples' first tokens are in the input of each layer.

The first token is the attention sink: later tokens attend to it, and its activations are many times larger than those
of other tokens ("Massive activations", Sun et al. 2024, arXiv:2402.17762). A few other tokens may have massive
activations, too. Here a token counts as massive in a layer if its largest |x| exceeds 100, and also exceeds 1000
times the median |x| of the sample's hidden states in this layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from faq_tui.core.activations.statistics import Number, finite, ratio
from faq_tui.core.base.text import counted

HIGH, MEDIANS = 100.0, 1000.0


@dataclass(frozen=True)
class LayerSink:
    """Measurements of the first tokens in the input of one layer, over all measured samples."""

    layer: int
    max: Number  # the largest |x| of the first tokens
    share: Number  # the squared norm of the first tokens, divided by the squared norm of all tokens
    massive: int  # number of other tokens with a massive activation


class SinkMeter:
    """Adds up squared norms and maxima of the hidden states. The meter keeps a few numbers for each layer."""

    def __init__(self) -> None:
        self._layers: dict[int, _Sums] = {}

    def add(self, layer: int, states: Any) -> None:
        """Add the input of a layer for one sample, [tokens, hidden]."""
        self._layers.setdefault(layer, _Sums()).add(states)

    def result(self) -> list[LayerSink]:
        return [sums.of(layer) for layer, sums in sorted(self._layers.items())]


class _Sums:
    def __init__(self) -> None:
        self.first: Any = 0.0
        self.all: Any = 0.0
        self.max: Any = None
        self.massive = 0

    def add(self, states: Any) -> None:
        import torch

        x = states.float()
        norms, tops = x.square().sum(-1).double(), x.abs().amax(-1)
        self.first, self.all = self.first + norms[0], self.all + norms.sum()
        self.max = tops[0] if self.max is None else torch.maximum(self.max, tops[0])
        high = tops[1:] > HIGH
        if bool(high.any()):  # computing the median takes time, and is rarely necessary
            self.massive += int((high & (tops[1:] > MEDIANS * x.abs().median())).sum())

    def of(self, layer: int) -> LayerSink:
        return LayerSink(layer, finite(float(self.max)), ratio(float(self.first), float(self.all)), self.massive)


def as_data(sinks: Sequence[LayerSink]) -> list[dict[str, Any]]:
    """The results as plain data, one entry for each layer."""
    return [asdict(one) for one in sinks]


def sentence(sinks: Sequence[Mapping[str, Any]]) -> str:
    """One line about the first tokens of a set, from `as_data`; "" if nothing was measured."""
    shares = [(one["share"], one["layer"]) for one in sinks if one["share"] is not None]
    if not shares:
        return ""
    highest, layer = max(shares)
    peak = max((one["max"] for one in sinks if one["max"] is not None), default=None)
    up_to = "" if peak is None else f", |x| up to {peak:.4g}"
    most = max(one["massive"] for one in sinks)
    others = (
        f"; up to {counted(most, 'other token per layer is', 'other tokens per layer are')} massive" if most else ""
    )
    return (
        f"the samples' first tokens make up {median(share for share, _ in shares):.0%} of the input's squared norm "
        f"(median over layers), "
        f"{highest:.0%} in layer {layer}{up_to}{others}"
    )
