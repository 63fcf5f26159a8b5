"""The orders centroid, entropy and experts, held against a plain computation on the model itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.assembly.coverage_task import greedy_cover
from faq_tui.core.assembly.selection_task import (
    centroid_order,
    entropies,
    entropy_order,
    mean_activations,
    routed,
)
from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.streamed import StreamedBackbone, open_stream
from tests.support.tiny import make_tiny_mixture, make_tiny_model

pytestmark = pytest.mark.slow


def check() -> None:
    """Nobody stops these."""


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mixture(tmp_path_factory.mktemp("mixture"))


def both(folder: Path) -> list[Any]:
    import torch

    return [load_dense(folder, torch.float32, "cpu"), open_stream(folder, torch.float32, "cpu", False)]


def some_rows(count: int = 6) -> list[list[int]]:
    dice = random.Random(1)
    return [[dice.randrange(512) for _ in range(4 + 7 * index)] for index in range(count)]


def test_entropies(dense: Path) -> None:
    import torch

    model, stream = both(dense)
    rows = some_rows()
    replies = [[], [0, 1], *([*range(3, len(row))] for row in rows[2:])]
    found = entropies(Backbone(model), rows, replies, check)
    assert found[0] is None
    for value, row, reply in list(zip(found, rows, replies, strict=True))[1:]:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([row])).logits[0].double()
        p = torch.softmax(logits[[position - 1 for position in reply if position]], dim=-1)
        assert value == pytest.approx(float(-(p * p.log()).sum(-1).mean()), rel=1e-4)
    streamed = entropies(StreamedBackbone(stream), rows, replies, check)
    assert streamed[0] is None and streamed[1:] == pytest.approx(found[1:], rel=1e-4)
    assert entropy_order(found)[-1] == 0


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(0.0, 9.0), max_size=12))
def test_the_largest_entropy_comes_first_and_none_last(values: list[float | None]) -> None:
    order = entropy_order(values)
    assert sorted(order) == list(range(len(values)))
    ranked = [values[n] for n in order]
    known = [value for value in ranked if value is not None]
    assert known == sorted(known, reverse=True) and ranked[: len(known)] == known


def test_experts(mixture: Path) -> None:
    import torch

    model, stream = both(mixture)
    rows = [[7], *some_rows(3)]
    driven = routed(model, rows, check)
    assert driven.shape == (4, 2 * 8) and (driven == routed(stream, rows, check)).all()
    assert driven[0].sum() == 2 * 2  # one token goes to two experts of each of the two layers
    with torch.inference_mode():
        for number, row in enumerate(rows):
            out = model(input_ids=torch.tensor([row]), output_router_logits=True)
            for layer, logits in enumerate(out.router_logits):
                chosen = set(logits.topk(2, dim=-1).indices.flatten().tolist())
                assert set(np.flatnonzero(driven[number, 8 * layer : 8 * layer + 8]).tolist()) == chosen
    assert sorted(greedy_cover(driven)) == [0, 1, 2, 3]


def test_a_dense_model_has_no_experts(dense: Path) -> None:
    with pytest.raises(FaqError, match="needs a mixture of experts, but the target is a dense model"):
        routed(both(dense)[0], some_rows(), check)


def test_mean_activations(dense: Path) -> None:
    import torch

    model, stream = both(dense)
    rows = some_rows()
    inputs: list[Any] = []
    hook = model.model.layers[1].self_attn.o_proj.register_forward_pre_hook(
        lambda _m, args: inputs.append(args[0][0])
    )
    with torch.inference_mode():
        for row in rows:
            model(input_ids=torch.tensor([row]))
    hook.remove()
    expected = np.stack([x[1:].double().mean(0).numpy() for x in inputs])
    for one in (model, stream):
        assert mean_activations(one, rows, ("o_proj", "experts"), check) == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
def test_one_row_of_each_group_comes_first(groups: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.permutation(np.eye(8))[:groups].repeat(3, axis=1) * 100.0 + rng.normal(size=(groups, 24))
    labels = np.repeat(np.arange(groups), size)
    order = rng.permutation(len(labels))
    points = (centres[labels] + rng.normal(size=(len(labels), 24)) * 0.01)[order]
    found = centroid_order(points, groups)
    assert sorted(found) == list(range(len(points)))
    assert len({labels[order][n] for n in found[:groups]}) == groups
    assert centroid_order(points, groups) == found


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 15), st.booleans())
def test_every_row_is_ordered_once(rows: int, wanted: int, equal: bool) -> None:
    points = np.zeros((rows, 3)) if equal else np.random.default_rng(rows).normal(size=(rows, 3))
    assert sorted(centroid_order(points, wanted)) == list(range(rows))


def test_damaged_activations_are_named() -> None:
    with pytest.raises(FaqError, match="hold NaN or infinity"):
        centroid_order(np.array([[0.0], [np.nan]]), 1)
