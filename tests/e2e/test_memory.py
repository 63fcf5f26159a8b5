"""A model of 1.5 GB is judged, looked at and evaluated with the memory of a few layers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.evaluation.heldout import Heldout, Item
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import PROSE
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.models.memory_need import MemoryNeed, memory_need
from tests.support.packed_folders import pack_folder
from tests.support.paths import ROOT
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

MB = 1 << 20
LAYERS = 24
WORK = 224 * MB  # hidden states, the intermediate values of a batch, logits, and what libraries allocate
ROWS = [[(7 * n + 3 * row) % 512 for n in range(24)] for row in range(4)]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("large"), hidden=1024, layers=LAYERS, intermediate=4096)


@pytest.fixture(scope="module")
def need(target: Path) -> MemoryNeed:
    return memory_need(target, 4)


def peak(task: str, spec: dict[str, Any], folder: Path) -> int:
    """The peak of the task's memory in bytes."""
    (folder / "spec.json").write_text(json.dumps(spec))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.memory_child", task, str(folder / "spec.json")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return int(json.loads(done.stdout.splitlines()[-1])["peak"])


def common(target: Path, read: str) -> dict[str, Any]:
    return {"model": str(target), "trust_remote_code": False, "device": "cpu", "dtype": "float32", "read": read}


def evaluation(target: Path, read: str, folder: Path, artefacts: dict[str, Path]) -> dict[str, Any]:
    text = Heldout(PROSE, [Item(tuple(row), 1) for row in ROWS])
    subjects = {UNQUANTIZED: ("target", ""), **{name: (name, str(path)) for name, path in artefacts.items()}}
    order = Spec(
        str(target), False, "cpu", "float32", 2, 8, str(folder), {"prose": text}, [], subjects, {}, read=read
    )
    (folder / "order.json").write_text(json.dumps(asdict(order)))
    return {"order": str(folder / "order.json")}


def items(folder: Path) -> dict[str, str]:
    with (folder / "items.jsonl").open("w") as file:
        for number, ids in enumerate(ROWS):
            file.write(json.dumps({"id": number, "input_ids": ids, "spans": {"answer": [4, len(ids)]}}) + "\n")
    return {"items": str(folder / "items.jsonl"), "reference": str(folder / "items.jsonl")}


def test_an_evaluation_needs_two_layers_and_not_the_model(target: Path, need: MemoryNeed, tmp_path: Path) -> None:
    whole = peak("evaluate", evaluation(target, "whole", tmp_path, {}), tmp_path)
    (tmp_path / "b").mkdir()
    layers = peak("evaluate", evaluation(target, "layers", tmp_path / "b", {}), tmp_path)
    assert need.whole > 1400 * MB and need.on_host + WORK < need.whole / 4
    assert whole > need.whole
    assert layers < need.on_host + WORK


@pytest.mark.parametrize("method", ["gptq", "w8a8"])
def test_an_artefact_needs_no_more(method: str, target: Path, need: MemoryNeed, tmp_path: Path) -> None:
    packed = tmp_path / method
    packed.mkdir()
    for file in target.iterdir():
        (packed / file.name).write_bytes(file.read_bytes())
    pack_folder(packed, method)
    (tmp_path / "b").mkdir()
    artefact = peak("evaluate", evaluation(target, "layers", tmp_path / "b", {method: packed}), tmp_path)
    assert artefact < need.on_host + need.layer + WORK  # the codes of a matrix, unpacked


@pytest.mark.parametrize("task", ["likelihood", "judge_activations"])
def test_a_judge_needs_two_layers(task: str, target: Path, need: MemoryNeed, tmp_path: Path) -> None:
    assert peak(task, {**common(target, "layers"), **items(tmp_path)}, tmp_path) < need.on_host + WORK


def test_activations_need_two_layers(target: Path, need: MemoryNeed, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"input_ids": r, "text": ""}) + "\n" for r in ROWS))
    one = {
        "name": "set",
        "signature": "s",
        "rows": str(tmp_path / "rows.jsonl"),
        "kinds": str(tmp_path / "none.jsonl"),
        "ids_hash": "",
        "out": str(tmp_path / "out.safetensors"),
    }
    more = {"modules": ["o_proj"], "samples": 4, "tokens": 1000, "sets": [one]}
    assert peak("activations", {**common(target, "layers"), **more}, tmp_path) < need.on_host + WORK
