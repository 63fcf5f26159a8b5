"""Outputs that are kept between the passes of a layer change no result, and save most of the work."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.stack import find_stack
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential import shard
from faq_tui.core.quantizing.sequential import walk as walk_module
from faq_tui.core.quantizing.sequential.batching import Ordering, SolvedMatrix
from faq_tui.core.quantizing.sequential.hessian import Factor
from faq_tui.core.quantizing.sequential.kept_outputs import KeptOutputs
from faq_tui.core.quantizing.sequential.shard import Shard
from faq_tui.core.quantizing.sequential.walk import LayerWalk, room_on_gpu
from tests.support.model_families import FAMILIES, ROWS, model_of


def walked(family: str, alpha: float | None) -> tuple[dict[str, Any], list[Any], int]:
    """The factor and the weight of each module, the states after the last layer, and the number of Linear calls."""
    model, found, states, calls = model_of(family), dict[str, Any](), list[Any](), 0
    stack = find_stack(model)

    def solve(names: list[list[str]], weights: list[Any], factor: Factor, _check: Any) -> dict[str, SolvedMatrix]:
        solved = {}
        for at, sharing in enumerate(names):
            for place, name in enumerate(sharing):
                found[name] = (factor.upper[at], None if factor.drift is None else factor.drift[at])
                solved[name] = SolvedMatrix((weights[place][at] * 4).round() / 4, 0.0)
        return solved

    def last(_module: Any, _args: Any, out: Any) -> None:
        states.append(out[0] if isinstance(out, tuple) else out)

    stack.layers[-1].register_forward_hook(last)
    computed = torch.nn.functional.linear

    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return computed(*args)

    progress = QuantizationProgress(lambda _kind, **_body: None, CancelToken())
    ordering = Ordering(0.01, alpha=alpha)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", counted)
        LayerWalk(stack, ["cpu"], ordering, solve, lambda *_: None, lambda _layer: None, progress, CancelToken()).run(
            ROWS
        )
    return found, states[-2:], calls


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_walk_finds_the_same_with_and_without_kept_outputs(
    family: str, alpha: float | None, on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_gpu:  # a GPU keeps the outputs of experts as a whole
        monkeypatch.setattr(shard, "is_cuda", lambda _device: True)
    if alpha is not None and family == "qwen3_moe":
        pytest.skip("GPTAQ does not walk through experts")
    kept, states, calls = walked(family, alpha)
    monkeypatch.setattr(LayerWalk, "_room", lambda *_: 0)
    plain, plain_states, plain_calls = walked(family, alpha)
    assert kept.keys() == plain.keys()
    for name, parts in kept.items():
        for ours, theirs in zip(parts, plain[name], strict=True):
            assert ours is theirs is None or torch.equal(ours, theirs), name
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(states, plain_states, strict=True))
    assert calls < (1.0 if on_gpu else 0.8) * plain_calls


class Layer(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
    """Two Linear modules and an activation without weights. `wrong` changes an output in place."""

    def __init__(self, wrong: bool = False, twice: bool = False) -> None:
        super().__init__()
        self.first, self.act, self.second = torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4)
        self.wrong, self.twice = wrong, twice

    def forward(self, states: Any) -> Any:
        found = self.act(self.first(states))
        if self.wrong:
            found += 1
        return self.second(self.second(found) if self.twice else found)


@torch.no_grad()  # type: ignore[untyped-decorator]
@pytest.mark.parametrize(("wrong", "twice"), [(False, False), (True, False), (False, True)])
def test_a_kept_output_is_never_out_of_date(wrong: bool, twice: bool) -> None:
    torch.manual_seed(0)
    layer, states = Layer(wrong, twice), torch.randn(3, 4)
    kept = KeptOutputs(layer, {"first": layer.first, "second": layer.second}, 1 << 20)

    def check() -> None:
        expected = layer(states)
        with kept.during(0):
            assert torch.equal(layer(states), expected)

    for _ in range(2):
        check()
    layer.first.weight.mul_(2)  # as the walk does when it solves a module
    kept.solved("first")
    for _ in range(3):
        check()
    layer.second.weight.mul_(2)
    kept.solved("second")
    for _ in range(3):
        check()
    assert not {"forward"} & {name for module in layer.modules() for name in module.__dict__}


class ChangesItsInput(torch.nn.Linear):  # type: ignore[misc]
    def forward(self, states: Any) -> Any:
        return super().forward(states.mul_(2))


@torch.no_grad()  # type: ignore[untyped-decorator]
@pytest.mark.parametrize("named", [False, True])
def test_a_module_that_changes_its_input_in_place_changes_it_in_each_pass(named: bool) -> None:
    layer, states = torch.nn.Module(), torch.randn(3, 4)
    layer.first = ChangesItsInput(4, 4)

    def forward(states: Any) -> Any:
        own = states.clone()
        return (layer.first(states=own) if named else layer.first(own)) + own

    layer.forward = forward
    kept, expected = KeptOutputs(layer, {}, 1 << 20), layer(states)
    for _ in range(2):
        with kept.during(0):
            assert torch.equal(layer(states), expected)


class FirstHalf(torch.nn.Linear):  # type: ignore[misc]
    def forward(self, states: Any) -> Any:
        return super().forward(states)[..., :2]


@torch.no_grad()  # type: ignore[untyped-decorator]
@pytest.mark.parametrize(("room", "calls"), [(3 * 4 * 4, 1), (3 * 4 * 4 - 1, 2)])
def test_a_part_of_a_tensor_takes_the_room_of_the_whole_tensor(room: int, calls: int) -> None:
    layer, states, names = torch.nn.Module(), torch.randn(3, 4), list[str]()
    layer.first = FirstHalf(4, 4)
    layer.first.forward = _noted(names, "first", layer.first.forward)
    layer.forward = lambda states: layer.first(states)
    kept = KeptOutputs(layer, {}, room)
    for _ in range(2):
        with kept.during(0):
            layer(states)
    assert len(names) == calls


@torch.no_grad()  # type: ignore[untyped-decorator]
def test_outputs_take_no_more_than_their_room() -> None:
    layer, states = Layer(), torch.randn(3, 4)
    calls: list[str] = []
    for name in ("first", "second"):
        getattr(layer, name).forward = _noted(calls, name, getattr(layer, name).forward)
    kept = KeptOutputs(layer, {}, room=3 * 4 * 4)  # one of the two outputs
    for _ in range(2):
        with suppress(ZeroDivisionError), kept.during(0):
            layer(states)
            1 / 0  # noqa: B018  as a hook ends a pass
    assert calls == ["first", "second", "second"]


@torch.no_grad()  # type: ignore[untyped-decorator]
def test_the_output_of_a_block_is_kept_as_a_whole_after_all_its_weights_are_final() -> None:
    whole = torch.nn.Module()
    whole.mlp = torch.nn.Module()
    whole.mlp.experts, whole.mlp.last = Layer(), torch.nn.Linear(4, 4)
    whole.mlp.forward = lambda states: whole.mlp.last(whole.mlp.experts(states))
    whole.forward = lambda states: whole.mlp(states)
    states, calls = torch.randn(3, 4), list[str]()
    inside = {f"mlp.experts.{name}": getattr(whole.mlp.experts, name) for name in ("first", "second")}
    linears = {**inside, "mlp.last": whole.mlp.last}
    for name, module in linears.items():
        module.forward = _noted(calls, name, module.forward)
    kept = KeptOutputs(whole, linears, 1 << 20, ["mlp.experts"])

    def called() -> list[str]:
        for _ in range(2):
            calls.clear()
            with kept.during(0):
                whole(states)
        return calls

    kept.solved("mlp.last")
    assert called() == [*linears]  # what comes after an unfinished block is not kept, either
    kept.solved("mlp.experts.first")
    assert called() == [*linears]
    kept.solved("mlp.experts.second")
    assert called() == []


@torch.no_grad()  # type: ignore[untyped-decorator]
def test_outputs_inside_a_module_make_room_for_its_own_and_an_activation_takes_none() -> None:
    whole = torch.nn.Module()
    whole.block, whole.norm = Layer(), torch.nn.LayerNorm(4)
    whole.forward = lambda states: whole.block(whole.norm(states))
    states, calls = torch.randn(3, 4), list[str]()
    inside = {f"block.{name}": getattr(whole.block, name) for name in ("first", "second")}
    for name, module in {**inside, "norm": whole.norm}.items():
        module.forward = _noted(calls, name, module.forward)
    kept = KeptOutputs(whole, inside, room=2 * 3 * 4 * 4)  # the outputs of both, or the output of the block
    for name in inside:
        kept.solved(name)
    for _ in range(2):
        with kept.during(0):
            whole(states)
    assert calls == ["norm", *inside, "norm"]


def test_a_small_gpu_keeps_no_outputs_and_a_large_gpu_leaves_half_of_the_rest() -> None:
    gib = 1 << 30
    assert room_on_gpu(6 * gib, 8 * gib // 16, [4096] * 6 + [20_480], False) == 0
    assert room_on_gpu(120 * gib, 140 * gib // 16, [4096] * 6 + [12_288], False) > 40 * gib
    one = room_on_gpu(20 * gib, gib, [4096] * 4, False)
    assert one > room_on_gpu(20 * gib, gib, [4096] * 4, True) > room_on_gpu(20 * gib, gib, [8192] * 4, True) > 0


def test_a_gpu_that_others_use_keeps_no_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"is_cuda": True, "free_bytes": 100 << 30, "work_bytes": 1 << 30}.items():
        monkeypatch.setattr(walk_module, name, lambda _device, value=value: value)
    layer, nothing = Layer(), None
    one = Shard("cuda", nothing, nothing, lambda: None)  # type: ignore[arg-type]
    walk = LayerWalk(nothing, ["cuda"], *[nothing] * 6)  # type: ignore[arg-type]
    assert walk._room(one, layer) > 40 << 30
    one.unquantized = object()  # type: ignore[assignment]
    assert 20 << 30 < walk._room(one, layer) < 40 << 30  # the outputs of the unquantized layer take the same again
    walk.sharing = 2
    assert walk._room(one, layer) == 0


def _noted(calls: list[str], name: str, compute: Any) -> Any:
    def forward(*args: Any) -> Any:
        calls.append(name)
        return compute(*args)

    return forward
