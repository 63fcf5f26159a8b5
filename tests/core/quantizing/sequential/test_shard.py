"""The walk over several devices: the same Hessians, the same outputs, and the same bits whenever it is repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.models.hidden_states import DISK, StatesPlace
from faq_tui.core.models.stack import UnsupportedModel, find_stack
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import Ordering, SolvedMatrix
from faq_tui.core.quantizing.sequential.shard import copy_to, split_batches
from faq_tui.core.quantizing.sequential.walk import LayerWalk
from faq_tui.core.quantizing.sequential.weights import TokenWeights, token_weights
from tests.support.model_families import FAMILIES, ROWS, model_of, own_experts

LONGER = [*ROWS, [5, 6, 7, 8, 9, 10], [60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [2, 4, 8]]
TWO, THREE = ["cpu"] * 2, ["cpu"] * 3


class Walked:
    """A walk that rounds all weights coarsely. `hessians` has H and the drift of each module."""

    def __init__(
        self,
        model: Any,
        devices: list[str],
        alpha: float | None = None,
        weights: TokenWeights | None = None,
        rows: list[list[int]] = LONGER,
        restored: dict[int, dict[str, Any]] | None = None,
        place: StatesPlace | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        self.hessians: dict[str, tuple[Any, Any]] = {}
        self.tokens: dict[str, int] = {}
        self.weights: dict[int, dict[str, Any]] = {}
        cancel, self.ended = cancel or CancelToken(), False

        def send(kind: str, **body: Any) -> None:
            if kind == "module":
                self.tokens[f"{body['layer']}.{body['module']}"] = body["samples"]

        self.walk = LayerWalk(
            find_stack(model),
            devices,
            Ordering(0.1, by_activation=False, alpha=alpha),
            self.solve,
            self.keep,
            (restored or {}).get,
            QuantizationProgress(send, cancel),
            cancel,
        )
        self.walk.weights, self.walk.place = weights, place
        self.walk.run(rows)

    def solve(self, names: list[list[str]], given: list[Any], factor: Any, check: Any) -> dict[str, SolvedMatrix]:
        check()
        solved = {}
        for number, sharing in enumerate(names):
            for place, name in enumerate(sharing):
                upper = factor.upper[number].double()
                drift = None if factor.drift is None else factor.drift[number]
                self.hessians[name] = torch.linalg.inv(upper.t() @ upper), drift
                solved[name] = SolvedMatrix((given[place][number] * 4).round() / 4, 0.0)
        return solved

    def keep(self, layer: int, solved: dict[str, SolvedMatrix]) -> None:
        self.weights[layer] = {name: matrix.weight for name, matrix in solved.items()}

    @property
    def outputs(self) -> list[Any]:
        """The hidden states after the last layer, one row each, in any order."""
        rows = [row for shard in self.walk.shards for batch in shard.inputs.hidden for row in batch]
        return sorted(rows, key=lambda row: (len(row), float(row.sum())))


def alike(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool((one - other).norm() <= 1e-4 * other.norm())


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("family", FAMILIES)
def test_several_devices_find_the_hessians_of_one(family: str, alpha: float | None) -> None:
    if alpha is not None and family == "qwen3_moe":
        pytest.skip("GPTAQ does not walk through experts")
    one = Walked(model_of(family), ["cpu"], alpha)
    for devices in (TWO, THREE):
        several = Walked(model_of(family), devices, alpha)
        assert len(several.walk.shards) == len(devices)
        assert several.hessians.keys() == one.hessians.keys() and several.tokens == one.tokens
        for name, parts in one.hessians.items():
            assert all(map(alike, several.hessians[name], parts)), name
        assert all(map(alike, several.outputs, one.outputs)) and len(one.outputs) == len(LONGER)


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_token_weights_count_over_all_devices(family: str) -> None:
    weights = token_weights([len(row) for row in LONGER], 0.3)
    one, two = (Walked(model_of(family), devices, weights=weights) for devices in (["cpu"], TWO))
    assert all(alike(two.hessians[name][0], matrix) for name, (matrix, _) in one.hessians.items())
    even = Walked(model_of(family), TWO)
    assert not all(alike(even.hessians[name][0], matrix) for name, (matrix, _) in one.hessians.items())


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_a_repeated_walk_and_a_walk_on_disk_give_the_same_bits(family: str, tmp_path: Path) -> None:
    one, again, disk = (
        Walked(model_of(family), TWO, place=place) for place in (None, None, StatesPlace(DISK, tmp_path))
    )
    for other in (again, disk):
        assert all(map(torch.equal, one.outputs, other.outputs))
        assert all(torch.equal(other.hessians[name][0], found) for name, (found, _) in one.hessians.items())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_a_resumed_walk_gives_the_same_bits(alpha: float | None) -> None:
    whole = Walked(model_of("llama"), TWO, alpha)
    resumed = Walked(model_of("llama"), TWO, alpha, restored={0: whole.weights[0]})
    assert list(resumed.weights) == [1, 2] and all(map(torch.equal, resumed.outputs, whole.outputs))
    assert all(torch.equal(found, whole.hessians[name][0]) for name, (found, _) in resumed.hessians.items())


def test_one_row_needs_only_one_device() -> None:
    made = Walked(model_of("llama"), THREE, rows=LONGER[:1])
    assert len(made.walk.shards) == 1
    one = Walked(model_of("llama"), ["cpu"], rows=LONGER[:1])
    assert all(torch.equal(made.hessians[name][0], found) for name, (found, _) in one.hessians.items())


def test_an_expert_that_only_one_device_reaches_has_the_tokens_of_all_devices() -> None:
    """The rows go to different experts, so a shard's own number of tokens says nothing."""
    one, two = (Walked(model_of("qwen3_moe"), devices) for devices in (["cpu"], TWO))
    experts = {name: tokens for name, tokens in two.tokens.items() if ".experts." in name}
    assert experts == {name: one.tokens[name] for name in experts} and len(set(experts.values())) > 1


def test_an_error_in_a_thread_is_raised_by_the_walk() -> None:
    """The second row passes a token id on which the layer fails, and it is on the second device."""
    model = model_of("llama")

    def fails(_module: Any, args: tuple[Any, ...]) -> None:
        if args[0].shape[1] == 3:  # only the shortest row
            raise FaqError("this row does not fit")

    find_stack(model).layers[1].register_forward_pre_hook(fails)
    with pytest.raises(FaqError, match="this row does not fit"):
        Walked(model, TWO)
    weights = token_weights([len(row) for row in LONGER], 0.3)
    with pytest.raises(UnsupportedModel, match="chooses the tokens of each expert"):
        Walked(own_experts(), TWO, weights=weights)


def test_a_stop_ends_the_walk_within_a_layer() -> None:
    model, cancel, calls = model_of("llama"), CancelToken(), list[int]()

    def stops(_module: Any, args: tuple[Any, ...]) -> None:
        calls.append(args[0].shape[1])
        if len(calls) == 8:
            cancel.set()

    find_stack(model).layers[0].register_forward_pre_hook(stops)
    with pytest.raises(Stopped):
        Walked(model, TWO, cancel=cancel)
    assert len(calls) <= 10


def test_weights_that_are_not_finite_fail_by_name() -> None:
    model = model_of("llama")
    find_stack(model).layers[1].mlp.up_proj.weight.data[3, 3] = float("nan")
    with pytest.raises(FaqError, match=r"layer 1 mlp\.up_proj failed because its weights are not finite"):
        Walked(model, TWO)


def test_a_copy_of_a_layer_has_its_own_weights() -> None:
    layer = find_stack(model_of("llama")).layers[0]
    twin, before = copy_to("cpu", layer), layer.mlp.up_proj.weight.data.clone()
    assert torch.equal(twin.mlp.up_proj.weight, before)
    twin.mlp.up_proj.weight.data = torch.zeros_like(before)
    assert torch.equal(layer.mlp.up_proj.weight, before)


@given(
    lengths=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 300)), min_size=1, max_size=30),
    parts=st.integers(1, 5),
)
def test_batches_are_divided_evenly(lengths: list[tuple[int, int]], parts: int) -> None:
    batches = [[[0] * length] * rows for rows, length in lengths]
    shares = split_batches(batches, parts, 64)
    assert sorted(number for share in shares for number in share) == list(range(len(batches)))
    assert all(share == sorted(share) and share for share in shares)
    assert len(shares) == min(parts, len(batches))
    costs = [rows * length * (12 * 64 + length) for rows, length in lengths]
    loads = [sum(costs[number] for number in share) for share in shares]
    assert max(loads) <= sum(costs) / parts + max(costs)
