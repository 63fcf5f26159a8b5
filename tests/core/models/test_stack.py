"""Rows of one length are computed together, and each batch has its own values that layers pass to later layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.models.layer_source import open_stack
from faq_tui.core.models.stack import Inputs, UnsupportedModel, capture, in_batches
from tests.support.architectures import make

# In Gemma 4, an argument depends on the tokens, and later layers use the keys and values of earlier ones. A router of
# Zaya uses the states of the router before it. A layer of the first GPT returns a list.
SHARING: dict[str, dict[str, Any]] = {
    "gemma4_text": {
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "zaya": {"num_hidden_layers": 3},
    "openai-gpt": {},
}


def test_rows_of_one_length_go_together_up_to_the_limit() -> None:
    rows = [[n] * length for n, length in enumerate((5, 3, 5, 5, 3, 9))]
    batches = in_batches(rows, 10)
    assert [[row[0] for row in batch] for batch in batches] == [[0, 2], [3], [1, 4], [5]]
    assert all(len({len(row) for row in batch}) == 1 for batch in batches)


@pytest.mark.parametrize("kind", SHARING)
def test_batches_of_one_shape_do_not_use_each_others_values(kind: str, tmp_path: Path) -> None:
    import torch

    from faq_tui.core.models.backbone import Backbone
    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.models.streamed import open_stream

    folder = make(kind, tmp_path / kind, **SHARING[kind])
    rows = [[5, 9, 2, 60, 33, 7], [3, 3, 2, 1, 50, 20], [7, 9, 11, 40, 2, 5]]
    whole = Backbone(load_dense(folder, torch.float32, "cpu"))
    streamed = open_stream(folder, torch.float32, "cpu", False).run([[row] for row in rows])
    for row, states in zip(rows, streamed, strict=True):
        assert torch.allclose(states, whole.states([row]), atol=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "opt", "ctrl"])
def test_a_row_that_is_longer_than_a_table_of_positions_is_named(kind: str, tmp_path: Path) -> None:
    stack = open_stack(make(kind, tmp_path / kind), False)
    sentence = r"a row has 140 tokens, but \w+ reads at most 128; use shorter rows, .* assemble\.max_tokens = 128"
    with pytest.raises(UnsupportedModel, match=sentence):
        capture(stack, [[[5] * 140]], "cpu", None, "cpu", lambda: None)
    assert capture(stack, [[[5] * 128]], "cpu", None, "cpu", lambda: None).sizes == [(1, 128)]


def test_the_inputs_of_a_teacher_have_their_own_containers() -> None:
    container: dict[str, int] = {}
    inputs = Inputs([1], {}, [[{"shared": container}, {"shared": container, "states": 2}]])
    twin = inputs.twin([3])
    assert (inputs.hidden, twin.hidden) == ([1], [3])
    assert twin.own == inputs.own
    assert twin.own[0][0]["shared"] is twin.own[0][1]["shared"] is not container
