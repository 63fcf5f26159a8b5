"""Packed codes: words of 32 bits, and the library GPTQModel reads the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from faq_tui.core.models.gptqmodel_environment import import_gptqmodel
from faq_tui.core.quantizing.methods.gptq.format import (
    GPTQ_FORMAT,
    pack,
    packed_tensors,
    quantization_config,
    unpack,
)
from faq_tui.core.quantizing.methods.gptq.matrix import Packable


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([2, 4, 8]), st.integers(1, 5))
def test_packing_is_undone(data: st.DataObject, bits: int, words: int) -> None:
    each = 32 // bits
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=words * each, max_size=words * each))
    packed = pack(torch.tensor(values), bits)
    assert packed.dtype == torch.int32 and packed.shape == (words,)
    assert unpack(packed, bits).tolist() == values
    assert int(packed[0]) % 2**32 == sum(value << (bits * place) for place, value in enumerate(values[:each]))


def matrix_of(bits: int, zero: int | None, scattered: bool) -> Packable:
    dice = torch.Generator().manual_seed(bits)
    out, columns, groups = 64, 128, 4
    home = torch.arange(columns) // (columns // groups)
    zeros = torch.randint(0, 2**bits, (groups, out), generator=dice)
    return Packable(
        torch.randint(0, 2**bits, (out, columns), generator=dice).to(torch.uint8),
        torch.rand(groups, out, generator=dice).add(0.01).half(),
        (zeros if zero is None else torch.full_like(zeros, zero)).to(torch.uint8),
        home[torch.randperm(columns, generator=dice)] if scattered else home,
        torch.zeros(()),
    )


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("zero", [None, 0, 1], ids=str)
@pytest.mark.parametrize("scattered", [False, True])
def test_it_reads_back_what_it_wrote(tmp_path: Path, bits: int, v2: bool, zero: int | None, scattered: bool) -> None:
    matrix = matrix_of(bits, zero, scattered)
    save_file(packed_tensors("a.b", matrix, bits, v2), tmp_path / "model.safetensors")
    body = {"bits": bits, "checkpoint_format": "gptq_v2" if v2 else "gptq"}
    state = GPTQ_FORMAT.dense_state(tmp_path, body, torch.float32)
    assert list(state) == ["a.b.weight"] and torch.equal(state["a.b.weight"], matrix.dense())


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gptqmodel_reads_the_same_weights(tmp_path: Path, bits: int, symmetric: bool) -> None:
    import_gptqmodel()
    from gptqmodel.utils.model_dequant import convert_gptq_file

    matrix = matrix_of(bits, 2 ** (bits - 1) if symmetric else None, False)
    save_file(packed_tensors("a.b", matrix, bits, not symmetric), tmp_path / "model.safetensors")
    body = quantization_config(bits, 32, symmetric, False, {})
    theirs = convert_gptq_file(tmp_path / "model.safetensors", torch.float32, body, "cpu")
    assert torch.equal(theirs["a.b.weight"], matrix.dense())
