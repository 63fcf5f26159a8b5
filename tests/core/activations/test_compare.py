"""Two sets over all layers: what is called a difference, and the sentence about it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.activations.compare import (
    ROUGHER,
    SAME,
    SMOOTHER,
    compare,
    compared,
    coverage,
    outlier_channels,
    reference,
    sign_test,
)
from faq_tui.core.activations.statistics import METRICS

Told = dict[str, Any]
MODULE = "self_attn.o_proj"


def told(
    name: str, scale: float, noise: float, layers: int = 24, tokens: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """A set whose every metric is `scale` times what the layer gives it, give or take `noise`."""
    dice, shared = np.random.default_rng(seed), np.random.default_rng(99)
    base = shared.uniform(2, 20, layers)
    places = [
        {"layer": n, "module": "self_attn.o_proj"}
        | {metric: float(base[n] * scale * math.exp(noise * dice.standard_normal())) for metric in METRICS}
        for n in range(layers)
    ]
    return {"set_name": name, "tokens": tokens, "places": places}


@pytest.mark.parametrize(
    ("scale", "noise", "verdict"), [(1.3, 0.05, ROUGHER), (0.8, 0.05, SMOOTHER), (1.0, 0.1, SAME)]
)
def test_a_change_over_the_layers_is_found(scale: float, noise: float, verdict: str) -> None:
    found = compare(
        told("elder", scale, noise, seed=1), told("baseline", 1.0, noise, seed=2), "self_attn.o_proj", 1000
    )
    assert found.verdict == verdict
    peak = found.metrics[0]
    assert peak.is_ratio and peak.layers == 24 and peak.higher + peak.lower == 24
    assert peak.change.low is not None and peak.change.high is not None
    assert peak.change.low < scale < peak.change.high
    words = {ROUGHER: "elder makes self_attn.o_proj rougher than baseline", SAME: "no consistent difference"}
    assert words.get(verdict, "smoother than baseline") in found.sentence
    assert "not fair" not in found.sentence


def test_other_tokens_are_said_and_the_other_way_round_is_the_opposite() -> None:
    ours, theirs = told("elder", 1.4, 0.02, tokens=5000), told("baseline", 1.0, 0.02, seed=3)
    assert "not fair: the sets have 5,000 and 1,000 tokens" in compare(ours, theirs, MODULE, 500).sentence
    assert compare(theirs, ours, MODULE, 500).verdict == SMOOTHER


def test_shares_with_zeros_are_compared_by_differences_and_gaps_left_out() -> None:
    found = compared("over_6_sigma", [0.0, 0.02, 0.03, None, 0.02, 0.04], [0.0, 0.01, 0.01, 0.5, 0.0, 0.01], 500)
    assert not found.is_ratio and found.layers == 5
    assert (found.higher, found.lower) == (4, 0) and found.change.value == pytest.approx(0.016)
    assert found.verdict == SAME, "four layers are too few for the sign test"
    nothing = compared("kurtosis", [None], [1.0], 500)
    assert nothing.layers == 0 and nothing.ours is None and nothing.verdict == SAME
    assert compare(told("a", 1, 0, layers=0), told("b", 1, 0), MODULE, 500).verdict == SAME


@given(st.integers(0, 40), st.integers(0, 40))
def test_sign_test(higher: int, lower: int) -> None:
    p = sign_test(higher, lower)
    assert 0.0 < p <= 1.0 and p == sign_test(lower, higher)
    trials = higher + lower
    extreme = [k for k in range(trials + 1) if abs(k - trials / 2) >= abs(higher - trials / 2)]
    assert p == pytest.approx(min(1.0, sum(math.comb(trials, k) for k in extreme) / 2**trials))


def test_outlier_channels_and_their_coverage() -> None:
    plain = np.ones(100, dtype=np.float32)
    spiky = plain.copy()
    spiky[[3, 50]] = 9.0
    half = plain.copy()
    half[50] = 4.0
    union = reference([plain, half, spiky])
    assert np.flatnonzero(outlier_channels(union)).tolist() == [3, 50]
    assert coverage(spiky, union) == 1.0
    assert coverage(half, union) == 0.5
    assert coverage(plain, union) == 0.0
    assert coverage(plain, plain) is None
