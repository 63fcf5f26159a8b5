"""SpQR's sidecar file: codes come back from their bits, and the bits are counted as in the paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, quantize_matrix
from faq_tui.core.quantizing.methods.spqr.sidecar import count_bits, from_tensors, pack, to_tensors, unpack
from faq_tui.core.quantizing.sequential.hessian import factorize
from tests.support.spqr_layers import hessian_of, layer, nothing


@given(st.integers(1, 8), st.lists(st.integers(0, 255), max_size=60))
def test_codes_come_back_from_their_bits(bits: int, values: list[int]) -> None:
    codes = torch.tensor([value % 2**bits for value in values], dtype=torch.uint8)
    packed = pack(codes, bits)
    assert len(packed) == -(-len(values) * bits // 8)
    assert unpack(packed, bits, len(values)).tolist() == codes.tolist()


@pytest.mark.parametrize(
    "knobs", [Knobs(4, 32), Knobs(3, 64, 0.2, None), Knobs(4, -1, math.inf), Knobs(8, 32, 0.01, 2, 7)]
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_sidecar_holds_the_exported_matrix(knobs: Knobs, dtype: Any) -> None:
    weight, inputs = layer(out=50, columns=80)  # no multiple of the groups
    weight = weight.to(dtype)
    factor = factorize(hessian_of(inputs), 0.01, by_activation=True)
    made = quantize_matrix(weight, factor, knobs, nothing)
    exported = made.weight.to(dtype)
    tensors = to_tensors("x", made, factor.order, knobs, exported)
    assert torch.equal(from_tensors("x", tensors, knobs, dtype), exported)
    bits = count_bits(50, 80, knobs, int(made.outliers.sum()), ordered=True)
    assert len(tensors["x.codes"]) * 8 == bits.codes
    assert 32 * len(tensors["x.values"]) == bits.outliers


def test_average_bits_are_the_papers_formula() -> None:
    out, columns, outliers = 4096, 4096, 167_772  # one in a hundred
    share = outliers / (out * columns)
    found = count_bits(out, columns, Knobs(4, 128), outliers, ordered=False)
    formula = 4 + (3 + 3) / 128 + 64 / (128 * 16) + 32 * share
    assert (found.codes + found.scales + found.outliers) / found.weights == pytest.approx(formula, rel=1e-12)
    assert found.average == pytest.approx(formula + 32 * (out + 1) / (out * columns), rel=1e-12)
    ordered = count_bits(out, columns, Knobs(4, 128), outliers, ordered=True)
    assert ordered.average - found.average == pytest.approx(16 / out, rel=1e-9)
    assert count_bits(16, 128, Knobs(4, 128, scale_bits=None), 0, ordered=False).average == 4 + 32 / 128
