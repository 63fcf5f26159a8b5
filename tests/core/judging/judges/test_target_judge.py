"""The judges that score with the target give the same scores if the target is read layer by layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.judging.judges import activation_task, likelihood
from tests.support.model_families import model_of

Task = Callable[[dict[str, Any], Callable[..., None], CancelToken], None]


def rows(count: int) -> list[list[int]]:
    return [[(7 * n + number * n * n) % 64 for n in range(6 + 3 * number)] for number in range(count)]


def scores(task: Task, folder: Path, read: str) -> dict[int, dict[str, Any]]:
    spec = {"model": str(folder), "trust_remote_code": False, "device": "cpu", "dtype": "float32", "read": read}
    items, reference = folder / "items.jsonl", folder / "reference.jsonl"
    with items.open("w") as file:
        for number, ids in enumerate(rows(9)):
            spans = {"answer": [4, len(ids)], "reasoning": [2, 4]}
            file.write(json.dumps({"id": number, "input_ids": ids, "spans": spans}) + "\n")
    reference.write_text("".join(json.dumps({"input_ids": ids[::-1]}) + "\n" for ids in rows(4)))
    found: dict[int, dict[str, Any]] = {}
    paths = {"items": str(items), "reference": str(reference)}
    task(spec | paths, lambda _kind, id, **body: found.update({id: body}), CancelToken())
    return found


def test_the_likelihood_is_the_same(tmp_path: Path) -> None:
    model_of("llama").save_pretrained(tmp_path)
    whole, layers = (scores(likelihood.run_task, tmp_path, read) for read in ("whole", "layers"))
    assert whole.keys() == layers.keys() == set(range(9))
    for number, one in whole.items():
        for name, (total, count) in one["spans"].items():
            assert layers[number]["spans"][name] == (pytest.approx(total, abs=1e-4), count)


def test_the_outlier_channels_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_task, "TOGETHER_BY_LAYERS", 4)  # three sweeps
    model_of("llama").save_pretrained(tmp_path)
    whole, layers = (scores(activation_task.run, tmp_path, read) for read in ("whole", "layers"))
    assert whole.keys() == layers.keys() == set(range(9))
    for number, one in whole.items():
        for name in ("tokens", "covered", "outliers", "layers"):
            assert layers[number][name] == one[name]
        assert layers[number]["crest"] == pytest.approx(one["crest"], rel=1e-3)
