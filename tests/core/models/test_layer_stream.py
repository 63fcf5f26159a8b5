"""A model that runs layer by layer from its files computes what the whole model computes, in the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.base.errors import Stopped
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import FolderTensors, load_dense
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.hidden_states import DISK, StatesPlace
from faq_tui.core.models.layer_source import open_streamed
from faq_tui.core.models.layer_stream import LayerStream, layers_ahead
from tests.support.model_families import FAMILIES, ROWS, model_of


def folder_of(family: str, folder: Path, **changes: Any) -> Path:
    model_of(family, **changes).to(torch.bfloat16).save_pretrained(folder)
    return folder


def stream_of(folder: Path, **options: Any) -> LayerStream:
    stack = open_streamed(folder, False, FolderTensors(folder), torch.float32)
    return LayerStream(stack, "cpu", torch.float32, **options)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_computes_as_the_whole_model_does(family: str, tied: bool, tmp_path: Path) -> None:
    folder = folder_of(family, tmp_path, tie_word_embeddings=tied)
    plain = load_dense(folder, torch.float32, "cpu")
    unfuse_experts(plain)
    stream, whole = stream_of(folder), Backbone(plain)
    batches = stream.batches(ROWS)
    assert sorted(map(len, batches)) == [1, 2]
    found = stream.run(batches)
    for states, rows in zip(found, batches, strict=True):
        assert torch.equal(states, whole.states(rows))
    assert torch.equal(Backbone(stream.stack.model).head.weight, whole.head.weight)


def test_a_model_is_read_with_a_transformers_without_the_rule_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import core_model_loading

    folder = folder_of("qwen3_moe", tmp_path)
    monkeypatch.delattr(core_model_loading, "Split", raising=False)  # as in transformers 5.17
    stream = stream_of(folder)
    assert len(stream.run(stream.batches(ROWS))) == 2


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_a_stream_agrees_with_padded_rows_of_the_model_as_it_is_loaded(family: str, tmp_path: Path) -> None:
    folder = folder_of(family, tmp_path)
    stream, whole = stream_of(folder), Backbone(load_dense(folder, torch.float32, "cpu"))
    batches = stream.batches(ROWS)
    padded = dict(zip(map(tuple, ROWS), whole.states(ROWS), strict=True))
    for states, rows in zip(stream.run(batches), batches, strict=True):
        for row, own in zip(rows, states, strict=True):
            assert torch.allclose(own, padded[tuple(row)][: len(row)], atol=2e-5)


def test_each_layer_is_read_once_seen_and_let_go(tmp_path: Path) -> None:
    stream, seen, read = stream_of(folder_of("llama", tmp_path)), list[Any](), list[int]()
    load = stream.stack.load
    assert load is not None

    def counted(index: int) -> Any:
        read.append(index)
        return load(index)

    stream.stack.load = counted
    batches = stream.batches(ROWS)
    stream.run(batches, lambda layer, batch, output: seen.append((layer, batch, tuple(output.shape))))
    assert read == [0, 1, 2]
    assert [(layer, batch) for layer, batch, _ in seen] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert {shape for *_, shape in seen} == {(1, 12, 32), (2, 6, 32)}
    assert all(parameter.is_meta for parameter in stream.stack.layers.parameters())


def test_only_two_layers_are_in_memory_at_a_time(tmp_path: Path) -> None:
    stream = stream_of(folder_of("llama", tmp_path, num_hidden_layers=5))
    for step in stream.steps(stream.batches(ROWS)):
        loaded = [n for n, layer in enumerate(stream.stack.layers) if not next(layer.parameters()).is_meta]
        assert set(loaded) <= {step.index, step.index + 1}
        for batch in range(2):
            step.run(batch)


def test_states_on_disk_are_the_same_and_leave_no_file(tmp_path: Path) -> None:
    folder, scratch = folder_of("llama", tmp_path / "model"), tmp_path / "scratch"
    scratch.mkdir()
    in_memory, on_disk = stream_of(folder), stream_of(folder, place=StatesPlace(DISK, scratch))
    batches = in_memory.batches(ROWS)
    for one, other in zip(in_memory.run(batches), on_disk.run(batches), strict=True):
        assert torch.equal(one, other)
    assert list(scratch.iterdir()) == []


def test_a_stream_runs_again(tmp_path: Path) -> None:
    stream = stream_of(folder_of("gemma3_text", tmp_path))
    batches = stream.batches(ROWS)
    assert all(map(torch.equal, stream.run(batches), stream.run(batches)))


def test_a_stop_ends_the_stream_between_two_batches(tmp_path: Path) -> None:
    seen: list[int] = []

    def check() -> None:
        if len(seen) == 3:
            raise Stopped("stopped")

    stream = stream_of(folder_of("llama", tmp_path), check=check)
    with pytest.raises(Stopped):
        stream.run(stream.batches(ROWS), lambda layer, batch, output: seen.append(layer))
    assert seen == [0, 0, 1]


def test_a_layer_that_cannot_be_read_ends_the_stream(tmp_path: Path) -> None:
    stream = stream_of(folder_of("llama", tmp_path))

    def load(index: int) -> Any:
        raise OSError(f"layer {index}")

    stream.stack.load = load
    with pytest.raises(OSError, match="layer 0"):
        list(layers_ahead(stream.stack, "cpu"))
