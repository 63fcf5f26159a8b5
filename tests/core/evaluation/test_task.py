"""The worker's task: a target and artefacts that are read layer by layer give the figures of whole models."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.evaluation import task
from faq_tui.core.evaluation.heldout import Heldout, Item
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import PROSE
from faq_tui.core.evaluation.spec import HeldoutQuestion, Spec
from faq_tui.core.models import memory_need, opening
from faq_tui.core.models.layer_stream import LayerStream
from tests.support.model_families import model_of
from tests.support.packed_folders import pack_folder


def items(seed: int) -> list[Item]:
    dice = random.Random(seed)
    lengths = [dice.randrange(3, 20) for _ in range(7)]
    return [Item(tuple(dice.randrange(64) for _ in range(length)), 1 + length // 3) for length in lengths]


TEXTS = {"one": Heldout(PROSE, items(1)), "two": Heldout(PROSE, items(2))}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import torch

    root = tmp_path_factory.mktemp("models")
    model_of("llama").to(torch.bfloat16).save_pretrained(root / UNQUANTIZED)
    for method in ("gptq", "w8a8"):
        pack_folder(shutil.copytree(root / UNQUANTIZED, root / method), method)
    return {folder.name: folder for folder in sorted(root.iterdir(), reverse=True)}


def evaluate(folders: dict[str, Path], cache: Path, read: str, **changes: Any) -> list[dict[str, Any]]:
    subjects = {name: (f"hash-{name}", "" if name == UNQUANTIZED else str(path)) for name, path in folders.items()}
    fields = {"texts": TEXTS, "answers": [], "stored": {}, **changes}
    spec = Spec(
        str(folders[UNQUANTIZED]), False, "cpu", "auto", 3, 8, str(cache), subjects=subjects, read=read, **fields
    )
    cache.mkdir(exist_ok=True)
    (cache / "order.json").write_text(json.dumps(spec.to_json()), encoding="utf-8")
    messages: list[dict[str, Any]] = []
    task.run(
        {"order": str(cache / "order.json")},
        lambda kind, **body: messages.append({"kind": kind, **body}),
        CancelToken(),
    )
    return messages


def measurements(messages: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["subject"], one["text"]): one for one in messages if one["kind"] == "measurement"}


def test_the_figures_and_signatures_are_those_of_whole_models(folders: dict[str, Path], tmp_path: Path) -> None:
    streamed = evaluate(folders, tmp_path / "layers", "layers")
    whole, layers = measurements(evaluate(folders, tmp_path / "whole", "whole")), measurements(streamed)
    assert whole.keys() == layers.keys() and len(whole) == 6
    for key, one in whole.items():
        other = layers[key]
        assert one["signature"] == other["signature"]
        for column, values in one["items"].items():
            assert other["items"][column] == pytest.approx(values, abs=1e-4), (key, column)
    assert sum(whole["gptq", "one"]["items"]["kl"]) > 0.01  # the artefact is another model
    last = [message for message in streamed if message["kind"] == "progress"][-1]
    assert last["done"] == last["total"] == 3 * sum(text.size for text in TEXTS.values())
    details = {message["detail"] for message in streamed if message["kind"] == "progress"}
    assert {f"{name}: layer {n} of 3" for name in folders for n in (1, 2, 3)} <= details


def test_each_layer_of_a_model_is_read_once_for_all_texts(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    run = LayerStream.run

    def counted(self: LayerStream, batches: Any, each_layer: Any = None) -> list[Any]:
        runs.append(len(batches))
        return run(self, batches, each_layer)

    monkeypatch.setattr(LayerStream, "run", counted)
    evaluate(folders, tmp_path, "layers")
    assert len(runs) == len(folders)


def test_a_model_that_does_not_fit_is_read_layer_by_layer(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def details(free: int) -> str:
        monkeypatch.setattr(opening, "free_bytes", lambda device: free)
        return " ".join(str(one.get("detail")) for one in evaluate(folders, tmp_path / str(free), "auto"))

    need = memory_need.memory_need(folders[UNQUANTIZED], 4).whole + memory_need.HOST_BESIDE
    assert "layer 1 of 3" not in details(need)
    assert "layer 1 of 3" in details(need - 1)


def test_a_model_that_does_not_fit_cannot_write_answers(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "free_bytes", lambda device: 1 << 20)
    for read in ("auto", "layers"):
        with pytest.raises(FaqError, match="only a whole model can write held-out answers"):
            evaluate(folders, tmp_path, read, answers=[HeldoutQuestion("s1", [1, 2, 3], [])])


def test_answers_are_written_by_the_whole_model_and_measured_layer_by_layer(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    messages = evaluate(folders, tmp_path, "layers", answers=[HeldoutQuestion("s1", [1, 2, 3], [])])
    assert [one["seed_id"] for one in messages if one["kind"] == "answer"] == ["s1"]
    assert len(measurements(messages)) == 9
