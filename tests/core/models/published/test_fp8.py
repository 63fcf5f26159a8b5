"""FP8 with block scales: the values, the edges of the blocks, and codes and scales that do not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.models.published.base import StoredTensor
from faq_tui.core.models.published.fp8 import Fp8Blocks
from tests.support.published import by_hand, to_fp8

FP8 = Fp8Blocks()
SIDES = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(rows=SIDES, columns=SIDES, block=st.tuples(st.integers(1, 5), st.integers(1, 5)), seed=st.integers(0, 999))
def test_every_value_has_the_scale_of_its_block(rows: int, columns: int, block: tuple[int, int], seed: int) -> None:
    import torch

    made = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=made) + 0.01
    codes, scales = to_fp8(weight, block)
    dense = FP8.dense(codes, scales, {"weight_block_size": list(block)}, torch.float32)
    assert torch.equal(dense, by_hand(codes, scales, block))
    exact = codes.to(torch.float64) * by_hand(torch.ones(rows, columns), scales, block).to(torch.float64)
    assert torch.equal(dense, exact.to(torch.float32))  # one rounding
    assert (dense - weight).abs().max() <= weight.abs().max() / 16
    rounded = FP8.dense(codes, scales, {"weight_block_size": list(block)}, torch.bfloat16)
    assert torch.equal(rounded, dense.to(torch.bfloat16))


def test_the_result_is_that_of_transformers() -> None:
    """transformers derives the size of the blocks from the number of scales, so whole blocks are compared."""
    import torch
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    codes, scales = to_fp8(torch.randn(256, 384))
    for kind in (torch.float32, torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            theirs = Fp8Dequantize(None)._dequantize_one(codes, scales.to(kind), dtype)
            ours = FP8.dense(codes, scales.to(kind), {"weight_block_size": [128, 128]}, dtype)
            assert torch.equal(ours, theirs)


def test_scales_can_be_powers_of_two_in_one_byte() -> None:
    import torch

    codes = torch.randn(4, 6).to(torch.float8_e4m3fn)
    for scales in (
        torch.tensor([[126, 130]], dtype=torch.uint8),
        torch.tensor([[0.5, 8.0]]).to(torch.float8_e8m0fnu),
    ):
        dense = FP8.dense(codes, scales, {"weight_block_size": [4, 3]}, torch.float32)
        assert torch.equal(dense[:, :3], codes[:, :3].float() * 0.5)
        assert torch.equal(dense[:, 3:], codes[:, 3:].float() * 8)
    lost = FP8.dense(
        codes, torch.tensor([[255, 127]], dtype=torch.uint8), {"weight_block_size": [4, 3]}, torch.float32
    )
    assert lost[:, :3].isnan().all() and lost[:, 3:].isfinite().all()  # the byte 255 is NaN


def test_one_scale_for_each_matrix_and_stacks_of_matrices() -> None:
    import torch

    codes = torch.randn(3, 5, 7).to(torch.float8_e4m3fn)
    scales = torch.tensor([0.5, 2.0, 3.0])[:, None, None]
    assert torch.equal(FP8.dense(codes, scales, {}, torch.float32), codes.float() * scales)
    assert torch.equal(FP8.dense(codes[0], torch.tensor(0.25), {}, torch.float32), codes[0].float() / 4)
    blocks = torch.rand(3, 2, 2)
    dense = FP8.dense(codes, blocks, {"weight_block_size": [4, 4]}, torch.float32)
    assert all(torch.equal(dense[at], by_hand(codes[at], blocks[at], (4, 4))) for at in range(3))


def stored(**shapes: tuple[str, tuple[int, ...]]) -> dict[str, StoredTensor]:
    names = {name.replace("_in_", "."): found for name, found in shapes.items()}
    return {name: StoredTensor(Path("model.safetensors"), shape, dtype) for name, (dtype, shape) in names.items()}


def test_the_parts_are_found_and_input_scales_are_left_out() -> None:
    found = stored(
        a_in_weight=("F8_E4M3", (300, 128)),
        a_in_weight_scale_inv=("F32", (3, 1)),
        a_in_activation_scale=("F32", ()),
        b_in_weight=("BF16", (4, 4)),
        b_in_input_scale=("F32", ()),
    )
    packed = FP8.packed(found, {"weight_block_size": [128, 128]})
    assert {name: (one.codes, one.scales, one.shape) for name, one in packed.items()} == {
        "a.weight": ("a.weight", "a.weight_scale_inv", (300, 128))
    }
    assert FP8.unused(found, packed) == {"a.activation_scale"}


@pytest.mark.parametrize(
    ("quantization", "tensors", "reason"),
    [
        ({}, {"a_in_weight": ("F8_E4M3", (4, 4))}, r"a\.weight has FP8 codes, but no scales"),
        ({}, {"a_in_weight": ("F8_E5M2", (4, 4))}, r"a\.weight has FP8 codes, but no scales"),
        ({}, {"a_in_weight_scale_inv": ("F32", ())}, r"a\.weight_scale_inv has no codes"),
        ({}, {"a_in_weight": ("BF16", (4, 4)), "a_in_weight_scale_inv": ("F32", ())}, "its codes have the type BF16"),
        ({}, {"a_in_weight": ("I8", (4, 4)), "a_in_weight_scale_inv": ("F32", ())}, "its codes have the type I8"),
        ({}, {"a_in_weight": ("F8_E4M3", (4, 4)), "a_in_weight_scale_inv": ("I32", ())}, "the type I32"),
        ({}, {"a_in_weight": ("F8_E4M3", (4,)), "a_in_weight_scale_inv": ("F32", ())}, "does not fit one scale"),
        (
            {"weight_block_size": [2, 2]},
            {"a_in_weight": ("F8_E4M3", (4, 5)), "a_in_weight_scale_inv": ("F32", (2, 2))},
            r"the shape \[2, 2\], which does not fit blocks of 2 x 2 of \[4, 5\]",
        ),
        ({"fmt": "e5m2"}, {}, "fmt 'e5m2' in quantization_config is not e4m3"),
        ({"weight_block_size": [0, 128]}, {}, "is not a pair of sizes"),
        ({"weight_block_size": "128"}, {}, "is not a pair of sizes"),
        ({"weight_block_size": [True, 1]}, {}, "is not a pair of sizes"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    quantization: dict[str, Any], tensors: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        FP8.packed(stored(**tensors), quantization)
