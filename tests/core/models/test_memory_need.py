"""The memory for a model's weights, as a whole and layer by layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.models.headers import Tensors
from faq_tui.core.models.memory_need import GPU_BESIDE, HOST_BESIDE, MemoryNeed, memory_need, need_of
from tests.support.tiny import make_tiny_model

NEED = MemoryNeed(whole=1000, resident=100, layer=30, layers=30)


def test_the_largest_layer_counts_and_a_vision_part_only_in_the_whole() -> None:
    shapes = {
        "model.embed_tokens.weight": (50, 4),
        "model.layers.0.mlp.up_proj.weight": (8, 4),
        "model.layers.1.mlp.experts.0.up_proj.weight": (8, 4),
        "model.layers.1.mlp.experts.1.up_proj.weight": (8, 4),
        "vision_tower.encoder.layers.0.fc1.weight": (100, 100),
    }
    tensors: Tensors = {name: (Path("x"), shape, 1) for name, shape in shapes.items()}
    need = need_of(tensors, 2)
    assert need == MemoryNeed(whole=2 * (200 + 3 * 32 + 10_000), resident=400, layer=128, layers=2)
    assert (need.on_device, need.on_host) == (528, 656)


def test_the_need_of_a_folder_is_that_of_its_parameters(tmp_path: Path) -> None:
    import torch

    from faq_tui.core.models.dense import load_dense

    folder = make_tiny_model(tmp_path, layers=3)
    model = load_dense(folder, torch.float32, "cpu")
    need = memory_need(folder, 4)
    assert need.whole == sum(parameter.numel() * 4 for parameter in model.parameters())
    assert need.layer == sum(parameter.numel() * 4 for parameter in model.model.layers[0].parameters())
    assert need.whole == need.resident + 3 * need.layer


@pytest.mark.parametrize(
    ("host", "gpu", "fits"),
    [
        (None, None, True),
        (1000 + HOST_BESIDE, None, True),
        (999 + HOST_BESIDE, None, False),
        (1000 + HOST_BESIDE, 1000 + GPU_BESIDE, True),
        (1000 + HOST_BESIDE, 999 + GPU_BESIDE, False),
        (999 + HOST_BESIDE, 1000 + GPU_BESIDE, False),
    ],
)
def test_a_model_fits_if_host_and_gpu_hold_it(host: int | None, gpu: int | None, fits: bool) -> None:
    assert NEED.fits(host, gpu) is fits
