"""What the first tokens hold of each layer's input, against a brute-force computation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.activations import capture
from faq_tui.core.activations.sinks import HIGH, SinkMeter, as_data, sentence
from faq_tui.core.models.stack import find_stack
from faq_tui.core.models.streamed import open_stream
from tests.support.model_families import ROWS, model_of


def states_of(model: Any) -> dict[int, list[Any]]:
    """The input of each layer for each row, [tokens, hidden]."""
    found: dict[int, list[Any]] = {}

    def keep(index: int) -> Any:
        return lambda _m, args, kwargs: found.setdefault(index, []).append((*args, *kwargs.values())[0][0].double())

    layers = find_stack(model).layers
    hooks = [layer.register_forward_pre_hook(keep(i), with_kwargs=True) for i, layer in enumerate(layers)]
    with torch.no_grad():
        for row in ROWS:
            model(input_ids=torch.tensor([row]))
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("streamed", [False, True])
def test_the_first_tokens_of_every_layer(tmp_path: Path, streamed: bool) -> None:
    model = model_of("llama")
    model.save_pretrained(tmp_path)
    states = states_of(model)
    one: Any = open_stream(tmp_path, torch.float32, "cpu", False) if streamed else model
    found = capture.measure(one, ROWS).sinks
    assert [sink.layer for sink in found] == [0, 1, 2]
    for sink in found:
        rows = states[sink.layer]
        first, everything = (sum(float((x**2).sum()) for x in part) for part in ([x[:1] for x in rows], rows))
        assert sink.share == pytest.approx(first / everything, rel=1e-5)
        assert sink.max == pytest.approx(max(float(x[0].abs().max()) for x in rows), rel=1e-5)
        assert sink.massive == 0


def test_massive_tokens_are_counted_without_the_first() -> None:
    meter = SinkMeter()
    for factor in (2.0, 0.5):
        x = torch.full((10, 8), 0.01)
        x[0, 3] = 5 * HIGH
        x[4, 1], x[7, 2] = -factor * HIGH, factor * HIGH
        meter.add(3, x)
    meter.add(5, torch.ones(10, 8) + torch.eye(10, 8) * 3 * HIGH)  # high, but not 1000 times the median
    sinks = meter.result()
    assert [(one.layer, one.massive) for one in sinks] == [(3, 2), (5, 0)] and sinks[0].max == 5 * HIGH
    text = sentence(as_data(sinks))
    assert text == (
        "the samples' first tokens make up 49% of the input's squared norm (median over layers), 85% in layer 3, "
        "|x| up to 500; up to 2 other tokens per layer are massive"
    )
    assert not sentence([])


def test_states_that_are_zero_or_not_finite_have_no_share() -> None:
    meter = SinkMeter()
    meter.add(0, torch.zeros(4, 8))
    meter.add(1, torch.full((4, 8), float("nan")))
    assert [(one.share, one.massive) for one in meter.result()] == [(None, 0), (None, 0)]
    assert not sentence(as_data(meter.result()))
