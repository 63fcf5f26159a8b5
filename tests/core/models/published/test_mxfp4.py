"""MXFP4: all codes, all scales, and parts that do not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.models.published.base import StoredTensor
from faq_tui.core.models.published.mxfp4 import Mxfp4
from tests.support.published import four_bits_by_hand

MXFP4 = Mxfp4()


@settings(max_examples=40, deadline=None)
@given(experts=st.integers(1, 3), out=st.integers(1, 5), blocks=st.integers(1, 4), seed=st.integers(0, 999))
def test_the_values_are_those_of_the_specification(experts: int, out: int, blocks: int, seed: int) -> None:
    import torch

    made = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, (experts, out, blocks, 16), dtype=torch.uint8, generator=made)
    scales = torch.randint(0, 252, (experts, out, blocks), dtype=torch.uint8, generator=made)
    exact = four_bits_by_hand(codes, scales)
    for dtype in (torch.float32, torch.bfloat16):
        dense = MXFP4.dense(codes, scales, {}, dtype)
        assert dense.shape == (experts, 32 * blocks, out) and dense.dtype == dtype and dense.is_contiguous()
        assert torch.equal(dense.to(torch.float64), exact)


def test_the_result_is_that_of_transformers() -> None:
    import torch
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    codes = torch.arange(256, dtype=torch.uint8).reshape(2, 4, 2, 16)
    scales = torch.arange(100, 116, dtype=torch.uint8).reshape(2, 4, 2)
    for dtype in (torch.float32, torch.bfloat16):
        theirs = convert_moe_packed_tensors(codes, scales, dtype=dtype)
        assert torch.equal(MXFP4.dense(codes, scales, {}, dtype), theirs)


def test_the_scale_255_is_nan() -> None:
    import torch

    codes = torch.full((1, 1, 2, 16), 0x22, dtype=torch.uint8)
    dense = MXFP4.dense(codes, torch.tensor([[[255, 127]]], dtype=torch.uint8), {}, torch.float32)
    assert dense[0, :32, 0].isnan().all() and bool((dense[0, 32:, 0] == 1).all())


def test_parts_that_do_not_fit_are_refused() -> None:
    def stored(**shapes: tuple[int, ...]) -> dict[str, StoredTensor]:
        return {name: StoredTensor(Path("model.safetensors"), shape, "U8") for name, shape in shapes.items()}

    packed = MXFP4.packed(stored(x_blocks=(2, 6, 3, 16), x_scales=(2, 6, 3), x_bias=(2, 6)), {})
    assert {name: one.shape for name, one in packed.items()} == {"x": (2, 96, 6)}
    with pytest.raises(ValueError, match="x_scales has no codes"):
        MXFP4.packed(stored(x_scales=(2, 6, 3)), {})
    with pytest.raises(ValueError, match="x_blocks has codes, but no scales"):
        MXFP4.packed(stored(x_blocks=(2, 6, 3, 16)), {})
    for blocks, scales in (((2, 6, 3, 16), (2, 6, 2)), ((2, 6, 3, 8), (2, 6, 3)), ((6, 3, 16), (6, 3))):
        with pytest.raises(ValueError, match="which are not shapes of MXFP4"):
            MXFP4.packed(stored(x_blocks=blocks, x_scales=scales), {})
