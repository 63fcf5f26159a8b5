"""Our own walk through a model: every family computes as transformers does, and each layer sees quantized inputs."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.hidden_states import DISK, StatesPlace
from faq_tui.core.models.stack import capture, find_stack
from faq_tui.core.quantizing.output import coverage
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import Ordering, Solve, SolvedMatrix
from faq_tui.core.quantizing.sequential.groups import find_groups
from faq_tui.core.quantizing.sequential.hessian import Factor
from faq_tui.core.quantizing.sequential.walk import LayerWalk
from tests.support.model_families import FAMILIES, ROWS, model_of


def one_by_one(solve: Any) -> Solve:
    """`solve`: (name, weight, its factor, check) -> Solved."""

    def every(names: list[list[str]], weights: list[Any], factor: Factor, check: Any) -> dict[str, SolvedMatrix]:
        return {
            name: solve(name, weights[place][at], factor_at(factor, at), check)
            for at, sharing in enumerate(names)
            for place, name in enumerate(sharing)
        }

    return every


def factor_at(factor: Factor, at: int) -> Factor:
    return Factor(factor.upper[at], factor.order[at], factor.dead[at], float(factor.damp[at]))


def walk(
    model: Any, solve: Any, cancel: CancelToken | None = None, **options: Any
) -> tuple[list[Any], dict[int, Any], list[Any]]:
    """The hidden state of each row after the last layer, what was kept of each layer, and all messages."""
    messages: list[Any] = []
    kept: dict[int, Any] = {}
    cancel = cancel or CancelToken()
    progress = QuantizationProgress(lambda kind, **body: messages.append((kind, body)), cancel)
    states: list[Any] = []
    last = find_stack(model).layers[-1]
    last.register_forward_hook(lambda _m, _a, out: states.append(out[0] if isinstance(out, tuple) else out))
    keep, restore = kept.__setitem__, lambda _layer: None
    ordering = options.pop("ordering", Ordering(0.01))
    stack = find_stack(model)
    LayerWalk(stack, ["cpu"], ordering, one_by_one(solve), keep, restore, progress, cancel, **options).run(ROWS)
    rows = [row for batch in states[-2:] for row in batch]  # two rows of one length go together
    return rows, kept, messages


def same(name: str, weight: Any, factor: Factor, check: Any) -> SolvedMatrix:
    return SolvedMatrix(weight.clone(), 0.5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_walk_that_changes_nothing_computes_as_the_model_does(family: str) -> None:
    model = model_of(family)
    expected: list[Any] = []
    hook = (
        find_stack(model)
        .layers[-1]
        .register_forward_hook(lambda _m, _a, out: expected.append(out[0] if isinstance(out, tuple) else out))
    )
    with torch.no_grad():
        for row in ROWS:
            model(input_ids=torch.tensor([row]))
    hook.remove()
    expected = [state[0] for state in expected]
    found, kept, messages = walk(model, same)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert sorted(kept) == [0, 1, 2]
    assert [kind for kind, _ in messages if kind != "module"] == ["layer_started", "layer_done"] * 3


@pytest.mark.parametrize("family", FAMILIES)
def test_modules_come_in_their_order_and_share_what_they_see(family: str) -> None:
    model = model_of(family)
    stack = find_stack(model)
    inputs = capture(stack, [ROWS[:1]], "cpu", None, "cpu", lambda: None)
    layer = stack.layers[0]
    unfuse_experts(layer)
    groups = find_groups(layer, lambda: layer(inputs.hidden[0], **inputs.of(0, 0)))
    found = [{name.rpartition(".")[2] for name in group.modules} for group in groups]
    assert found == [{"q_proj", "k_proj", "v_proj"}, {"o_proj"}, {"gate_proj", "up_proj"}, {"down_proj"}]
    if family == "qwen3_moe":
        assert len(groups[2].modules) == 8 and len(set(groups[2].inputs.values())) == 4  # one Hessian an expert
    else:
        assert [len(set(group.inputs.values())) for group in groups] == [1, 1, 1, 1]


class CallsTwice(torch.nn.Module):  # type: ignore[misc]
    """Applies an MLP twice, as Zaya applies a projection of its attention."""

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(self, states: Any) -> Any:
        return self.mlp(self.mlp(states))


def test_a_module_that_is_called_twice_is_quantized_once() -> None:
    model = model_of("llama")
    for layer in model.model.layers:
        layer.mlp = CallsTwice(layer.mlp)
    counts: Counter[str] = Counter()

    def solve(name: str, weight: Any, _factor: Factor, _check: Any) -> SolvedMatrix:
        counts[name] += 1
        return SolvedMatrix(weight.clone(), 0.0)

    walk(model, solve)
    assert len(counts) == 3 * 7
    assert set(counts.values()) == {1}


def test_each_layer_sees_what_the_quantized_ones_before_it_give() -> None:
    """Weights set to zero in layer 0: its attention adds nothing, and so the later Hessians are others."""
    factors: dict[str, dict[str, Factor]] = {"zero": {}, "same": {}}

    def solver(which: str) -> Any:
        def solve(name: str, weight: Any, factor: Factor, check: Any) -> SolvedMatrix:
            factors[which][name] = factor
            zero = which == "zero" and name == "model.layers.0.self_attn.v_proj"
            return SolvedMatrix(torch.zeros_like(weight) if zero else weight.clone(), 0.0)

        return solve

    for which in factors:
        walk(model_of("llama"), solver(which))

    def differs(name: str) -> bool:
        return not torch.equal(factors["zero"][name].upper, factors["same"][name].upper)

    assert not differs("model.layers.0.self_attn.q_proj")
    assert factors["zero"]["model.layers.0.self_attn.o_proj"].dead.all()  # within the layer too
    assert differs("model.layers.0.mlp.gate_proj") and differs("model.layers.2.mlp.down_proj")


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_hidden_states_on_disk_give_the_same_bits_and_leave_no_file(alpha: float | None, tmp_path: Path) -> None:
    def coarse(name: str, weight: Any, factor: Factor, check: Any) -> SolvedMatrix:
        return SolvedMatrix((weight * 4).round() / 4, 0.0)

    ordering = Ordering(0.01, alpha=alpha)
    rows, kept, _ = walk(model_of("llama"), coarse, ordering=ordering)
    place = StatesPlace(DISK, tmp_path)
    found, again, _ = walk(model_of("llama"), coarse, ordering=ordering, place=place)
    assert all(map(torch.equal, rows, found))
    for layer, modules in kept.items():
        assert all(torch.equal(modules[name].weight, again[layer][name].weight) for name in modules)
    assert list(tmp_path.iterdir()) == []


def test_the_next_layer_is_read_while_this_one_is_quantized() -> None:
    stack, events = find_stack(model_of("llama")), list[str]()
    reading = {index: threading.Event() for index in range(len(stack.layers))}

    def load(index: int) -> Any:
        events.append(f"read {index}")
        reading[index].set()
        return stack.layers[index]

    def waits(name: str, weight: Any, factor: Factor, check: Any) -> SolvedMatrix:
        layer = int(name.split(".")[2])
        if layer + 1 in reading:
            assert reading[layer + 1].wait(10)
        return SolvedMatrix(weight.clone(), 0.0)

    def keep(layer: int, _modules: Any) -> None:
        events.append(f"keep {layer}")

    stack.load = load
    progress = QuantizationProgress(lambda _kind, **_body: None, CancelToken())
    solve, no_layer = one_by_one(waits), lambda _layer: None
    LayerWalk(stack, ["cpu"], Ordering(0.01), solve, keep, no_layer, progress, CancelToken()).run(ROWS)
    assert events == ["read 0", "read 1", "keep 0", "read 2", "keep 1", "keep 2"]


def test_an_expert_that_no_token_reaches_is_rounded_and_named() -> None:
    model = model_of("qwen3_moe")
    for layer in find_stack(model).layers:
        layer.mlp.gate.weight.data[2:] = layer.mlp.gate.weight.data[:2] * 0 - 100.0  # experts 2 and 3: never
        layer.mlp.gate.weight.data[:2] = 0.0
        layer.post_attention_layernorm.weight.data.abs_()
    plain: dict[str, bool] = {}

    def solve(name: str, weight: Any, factor: Factor, check: Any) -> SolvedMatrix:
        plain[name] = torch.equal(factor.upper, torch.eye(weight.shape[1]))
        return SolvedMatrix(weight.clone(), 0.25)

    def positive(_module: Any, _args: Any, out: Any) -> Any:
        return out.abs()

    for layer in find_stack(model).layers:
        layer.post_attention_layernorm.register_forward_hook(positive)
    _, _, messages = walk(model, solve)
    rows = [body for kind, body in messages if kind == "module"]
    missed = [row for row in rows if row["module"].startswith(("mlp.experts.2.", "mlp.experts.3."))]
    assert len(missed) == 3 * 2 * 3
    for row in missed:
        assert row["loss"] is None and row["samples"] == 0 and "too few tokens" in row["note"]
        assert plain[f"model.layers.{row['layer']}.{row['module']}"]
    assert not plain["model.layers.0.mlp.experts.0.up_proj"]
    for line in coverage(rows):
        assert line["experts"] == 4 and line["rounded_experts"] == [2, 3] and line["fewest_tokens"] == 0
        assert line["most_tokens"] == sum(map(len, ROWS))


def test_a_stop_ends_the_walk_before_the_next_module() -> None:
    cancel, seen = CancelToken(), list[str]()

    def solve(name: str, weight: Any, factor: Factor, check: Any) -> SolvedMatrix:
        check()
        seen.append(name)
        if len(seen) == 5:
            cancel.set()
        return SolvedMatrix(weight.clone(), 0.0)

    with pytest.raises(Stopped):
        walk(model_of("llama"), solve, cancel)
    assert len(seen) == 5  # in the middle of gate and up, which are solved together


def test_weights_that_are_not_finite_fail_by_name() -> None:
    model = model_of("llama")
    find_stack(model).layers[1].mlp.up_proj.weight.data[3, 3] = float("nan")
    with pytest.raises(FaqError, match=r"layer 1 mlp\.up_proj failed because its weights are not finite"):
        walk(model, same)
