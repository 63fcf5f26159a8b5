"""Statistics of activations against a brute-force computation in float64 on the activations themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faq_tui.core.activations import capture
from faq_tui.core.activations.module_refs import ModuleRef
from faq_tui.core.activations.statistics import column_width
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped, UsageError
from faq_tui.core.chat.token_kinds import KINDS
from tests.support.model_families import model_of
from tests.support.tiny import make_tiny_model
from tests.support.tiny_moe import make_tiny_moe

EXACT = 1e-5
Everything = dict[ModuleRef, list[Any]]  # of each row [tokens, channels], float64


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    folder = make_tiny_model(tmp_path_factory.mktemp("tiny"))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def moe() -> Any:
    return make_tiny_moe()


def some_rows(vocabulary: int, count: int = 9, seed: int = 1) -> list[list[int]]:
    dice = random.Random(seed)
    return [[dice.randrange(vocabulary) for _ in range(20 + 13 * index)] for index in range(count)]


@contextmanager
def recording(model: Any, names: tuple[str, ...]) -> Iterator[Everything]:
    """Every input of the modules, kept whole."""
    found: Everything = {}

    def keep(place: ModuleRef) -> Any:
        return lambda _module, args: found.setdefault(place, []).append(args[0][0].double().numpy())

    hooks = [
        module.register_forward_pre_hook(keep(ModuleRef(int(name.split(".")[2]), ".".join(name.split(".")[3:]))))
        for name, module in model.named_modules()
        if name.endswith(names)
    ]
    yield found
    for hook in hooks:
        hook.remove()


def forward(model: Any, rows: list[list[int]]) -> None:
    import torch

    with torch.inference_mode():
        for row in rows:
            model(torch.tensor([row]))


def brute_force(x: Any) -> dict[str, float]:
    """`x`: [tokens, channels], float64."""
    size, energy = np.abs(x), (x**2).sum(0)
    median, p999 = np.quantile(size, [0.5, 0.999])
    sigma, rms = x.std(), np.sqrt((x**2).mean())
    top = max(1, int(np.ceil(0.01 * len(energy))))
    return {
        "values": x.size,
        "max": size.max(),
        "rms": rms,
        "crest": size.max() / rms,
        "kurtosis": ((x - x.mean()) ** 4).mean() / sigma**4,
        "median": median,
        "p999": p999,
        "max_over_median": size.max() / median,
        "p999_over_median": p999 / median,
        "over_6_sigma": (size > 6 * sigma).mean(),
        "over_20_median": (size > 20 * median).mean(),
        "top_channel_energy": np.sort(energy)[::-1][:top].sum() / energy.sum(),
    }


def assert_equal(found: capture.AtPlace, rows: list[Any], sinks: list[Any]) -> None:
    x = np.concatenate(rows)
    wanted, got = brute_force(x), asdict(found.statistics)
    for name, value in wanted.items():
        assert got[name] == pytest.approx(value, rel=EXACT), name
    np.testing.assert_allclose(found.absmax, np.abs(x).max(0), rtol=EXACT)
    if sinks:
        sink = np.concatenate(sinks)
        assert found.statistics.sink is not None
        assert found.statistics.sink.max == pytest.approx(np.abs(sink).max(), rel=EXACT)
        assert found.statistics.sink.rms == pytest.approx(np.sqrt((sink**2).mean()), rel=EXACT)


def test_dense_statistics_equal_brute_force(dense: Any) -> None:
    names = ("o_proj", "down_proj", "q_proj", "gate_proj")
    rows = some_rows(512)
    with recording(dense, names) as everything:
        forward(dense, rows)
    found = capture.measure(dense, rows, names)
    assert found.places.keys() == everything.keys() and len(everything) == 12
    for place, whole in everything.items():
        assert_equal(found.places[place], [x[1:] for x in whole], [x[:1] for x in whole])


def test_moe_statistics_equal_brute_force(moe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each expert's multiplications, as the model's own eager code does them."""
    import torch

    linear, counts = torch.nn.functional.linear, np.zeros((2, 4), dtype=int)
    everything: Everything = {}
    sinks: Everything = {}
    owner = {}
    for layer, block in enumerate(moe.model.layers):
        for expert in range(4):
            for name in ("gate_up_proj", "down_proj"):
                owner[getattr(block.mlp.experts, name)[expert].data_ptr()] = (layer, expert, name)
    rows = some_rows(128)
    first: dict[Any, Any] = {}

    def spy(x: Any, weight: Any, bias: Any = None) -> Any:
        if weight.data_ptr() in owner:
            layer, expert, name = owner[weight.data_ptr()]
            place = ModuleRef(layer, f"mlp.experts.{name}")
            if name == "gate_up_proj":
                counts[layer, expert] += len(x)
                first[layer] = (x == first[layer, "state"]).all(-1)
            everything.setdefault(place, []).append(x[~first[layer]].double().numpy())
            sinks.setdefault(place, []).append(x[first[layer]].double().numpy())
        return linear(x, weight, bias)

    def state(layer: int) -> Any:
        return lambda _module, args: first.update({(layer, "state"): args[0].reshape(-1, args[0].shape[-1])[0]})

    hooks = [block.mlp.register_forward_pre_hook(state(n)) for n, block in enumerate(moe.model.layers)]
    moe.set_experts_implementation("eager")
    monkeypatch.setattr(torch.nn.functional, "linear", spy)
    forward(moe, rows)
    monkeypatch.undo()
    for hook in hooks:
        hook.remove()
    with recording(moe, ("o_proj",)) as attention:
        forward(moe, rows)
    found = capture.measure(moe, rows, ("o_proj", "experts"))
    assert len(everything) == 4 and found.places.keys() == everything.keys() | attention.keys()
    for place, whole in attention.items():
        assert_equal(found.places[place], [x[1:] for x in whole], [x[:1] for x in whole])
    for place, whole in everything.items():
        assert_equal(found.places[place], whole, sinks[place])
    assert [counts.tolist() for counts in found.experts.values()] == counts.tolist()
    assert counts.sum() == 2 * 2 * sum(map(len, rows))


def test_experts_that_are_modules_are_counted_and_their_parts_left_out() -> None:
    """As remote code has them: each one sees some of the tokens, so its linears are no places."""
    import torch

    class Block(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, fused: Any) -> None:
            super().__init__()
            self.router = fused.gate
            self.experts = torch.nn.ModuleList()
            for gate_up, down in zip(fused.experts.gate_up_proj, fused.experts.down_proj, strict=True):
                expert = torch.nn.Module()
                expert.gate_up_proj = torch.nn.Linear(*gate_up.T.shape, bias=False)
                expert.down_proj = torch.nn.Linear(*down.T.shape, bias=False)
                expert.gate_up_proj.weight.data, expert.down_proj.weight.data = gate_up.data, down.data
                expert.forward = lambda x, it=expert: it.down_proj(it.gate_up_proj(x).chunk(2, -1)[0])
                self.experts.append(expert)

        def forward(self, x: Any) -> Any:
            chosen = self.router(x.reshape(-1, x.shape[-1]))[-1]
            out = torch.zeros_like(x)
            for number, expert in enumerate(self.experts):
                own = (chosen == number).any(-1)
                out[0, own] += expert(x[0, own])
            return out

    rows = some_rows(128)
    fused = make_tiny_moe()
    wanted = capture.measure(fused, rows, ["o_proj"]).experts
    unfused = make_tiny_moe()
    for layer in unfused.model.layers:
        layer.mlp = Block(layer.mlp)
    found = capture.measure(unfused, rows, ["o_proj", "down_proj"])
    assert {place.module for place in found.places} == {"self_attn.o_proj"}
    assert found.experts[0].tolist() == wanted[0].tolist()  # behind the first layer the two models differ
    assert found.experts[1].sum() == wanted[1].sum()
    with pytest.raises(UsageError, match="has no down_proj"):
        capture.measure(unfused, rows, ["down_proj"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_exact(dense: Any, dtype: str) -> None:
    import torch

    model = dense.__class__(dense.config).to(getattr(torch, dtype)).eval()
    rows = some_rows(512, 4)
    with recording(model, ("down_proj",)) as everything:
        forward(model, rows)
    found = capture.measure(model, rows, ["down_proj"])
    for place, whole in everything.items():
        assert_equal(found.places[place], [x[1:] for x in whole], [x[:1] for x in whole])


def test_rows_landscape_and_kinds(dense: Any) -> None:
    rows = some_rows(512, 5)
    kinds = [[0] + [2 + (index > len(row) // 2) for index in range(1, len(row))] for row in rows]
    ticks: list[int] = []
    with recording(dense, ("down_proj",)) as everything:
        forward(dense, rows)
    found = capture.measure(dense, rows, ["down_proj"], kinds=kinds, per_row=True, tick=ticks.append)
    assert ticks == [len(row) for row in rows]
    for place, whole in everything.items():
        at = found.places[place]
        for number, x in enumerate(whole):
            moments, absmax = found.rows[number][place]
            wanted = brute_force(x[1:])
            assert moments.crest == pytest.approx(wanted["crest"], rel=EXACT)
            assert moments.kurtosis == pytest.approx(wanted["kurtosis"], rel=EXACT)
            np.testing.assert_allclose(absmax, np.abs(x[1:]).max(0), rtol=EXACT)
        for kind in (2, 3):
            part = np.concatenate([x[np.array(own) == kind] for x, own in zip(whole, kinds, strict=True)])
            assert at.statistics.kinds[KINDS[kind]].kurtosis == pytest.approx(
                brute_force(part)["kurtosis"], rel=EXACT
            )
        # The landscape, cell by cell.
        total, seen, width = sum(map(len, rows)), 0, column_width(256)
        landscape = np.zeros_like(at.landscape)
        for x in whole:
            for index in range(1, len(x)):
                cells = np.abs(x[index]).reshape(-1, width).max(1)
                where = (seen + index) * 128 // total
                landscape[where] = np.maximum(landscape[where], cells)
            seen += len(x)
        np.testing.assert_allclose(at.landscape, landscape, rtol=EXACT)


def test_twins_are_measured_once_and_unknown_names_refused(dense: Any) -> None:
    rows = some_rows(512, 1)
    found = capture.measure(dense, rows, ("v_proj", "q_proj", "up_proj"))
    assert {place.module for place in found.places} == {"self_attn.v_proj", "mlp.up_proj"}
    with pytest.raises(UsageError, match="has no c_proj in its layers"):
        capture.measure(dense, rows, ["c_proj"])
    with pytest.raises(FaqError, match="no tokens"):
        capture.measure(dense, [[], []])


def test_hooks_are_gone_after_a_stop(dense: Any) -> None:
    cancel, seen = CancelToken(), []

    def tick(tokens: int) -> None:
        seen.append(tokens)
        cancel.set()

    with pytest.raises(Stopped):
        capture.measure(dense, some_rows(512), cancel=cancel, tick=tick)
    assert len(seen) == 1
    assert not any(module._forward_pre_hooks for module in dense.modules())


def test_broken_weights_are_said(dense: Any) -> None:
    import torch

    weight = dense.model.layers[1].self_attn.v_proj.weight
    with torch.no_grad():
        kept = weight.clone()
        weight[0, 0] = float("nan")
    try:
        with pytest.raises(FaqError, match=r"self_attn\.o_proj in layer 1 holds NaN or infinity"):
            capture.measure(dense, some_rows(512, 2))
    finally:
        with torch.no_grad():
            weight.copy_(kept)


@pytest.mark.parametrize("modules", [("o_proj", "gate_proj", "experts"), ("o_proj",)])
@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_a_model_that_is_read_layer_by_layer_gives_the_same(family: str, modules: Any, tmp_path: Path) -> None:
    import torch

    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.models.streamed import open_stream

    model_of(family).save_pretrained(tmp_path)
    rows = [[], *some_rows(64, 5)]
    kinds = [[(n * n) % len(KINDS) for n in range(len(row))] for row in rows]
    told: list[int] = []
    whole, stream = load_dense(tmp_path, torch.float32, "cpu"), open_stream(tmp_path, torch.float32, "cpu", False)
    wanted = capture.measure(whole, rows, modules, kinds=kinds, per_row=True)
    found = capture.measure(stream, rows, modules, kinds=kinds, per_row=True, tick=told.append)
    assert sum(told) == sum(map(len, rows)) and len(told) > len(rows)
    assert found.places.keys() == wanted.places.keys()
    for ref, at in wanted.places.items():
        ours = found.places[ref]
        assert asdict(ours.statistics)["rms"] == pytest.approx(asdict(at.statistics)["rms"], rel=EXACT)
        assert asdict(ours.statistics)["kurtosis"] == pytest.approx(asdict(at.statistics)["kurtosis"], rel=1e-4)
        np.testing.assert_allclose(ours.absmax, at.absmax, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(ours.landscape, at.landscape, rtol=1e-4, atol=1e-6)
    assert {layer: counts.tolist() for layer, counts in found.experts.items()} == {
        layer: counts.tolist() for layer, counts in wanted.experts.items()
    }
    assert [row.keys() for row in found.rows] == [row.keys() for row in wanted.rows] and not found.rows[0]
    for row, expected in zip(found.rows, wanted.rows, strict=True):
        for ref, (moments, absmax) in expected.items():
            np.testing.assert_allclose(row[ref][1], absmax, rtol=1e-4, atol=1e-6)
            assert row[ref][0].crest == pytest.approx(moments.crest, rel=1e-4)
    assert not any(module._forward_pre_hooks for module in stream.stack.model.modules())
