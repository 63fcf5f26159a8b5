"""benchmarks/selection.py on a tiny model: it measures, continues after a kill, and quantizes as a run does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.dense import load_dense
from faq_tui.core.quantizing import task
from tests.support.paths import ROOT
from tests.support.tiny import make_rows, make_tiny_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in float32, because the benchmark computes in float32 on a CPU."""
    folder = make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=2)
    load_dense(folder, torch.float32, "cpu").save_pretrained(folder)
    return folder


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The modules of the benchmark."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import selection
    import selection_model
    import selection_table

    yield SimpleNamespace(main=selection, model=selection_model, table=selection_table)
    for name in [name for name in sys.modules if name.startswith("selection") or name == "machine"]:
        del sys.modules[name]


def test_results_are_kept_and_continued(
    tiny: Path, tmp_path: Path, bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prose.txt").write_text("The quick brown fox jumps over the lazy dog, and sleeps. " * 60)
    sizes = ("--limit", "8", "--held-out", "3", "--answer-tokens", "12", "--budgets", "200", "--group", "32")
    sets = ("--sets", "seeds,self-32,centroids", "--weights", "off,0.07+template=2", "--methods", "gptq-4")
    places = (str(tiny), "--out", str(tmp_path), "--prose", str(tmp_path / "prose.txt"), "--device", "cpu")

    def call(*more: str) -> str:
        bench.main.main([*places, *sizes, *sets, *more])
        return capsys.readouterr().out

    assert "6 of 6 measurements are missing" in call("--draws", "1", "--seconds", "600")
    path = tmp_path / "selection.jsonl"
    lines = path.read_text().splitlines()
    assert len(lines) == 6 and all(json.loads(line)["chat"] > 0 for line in lines)
    material = (tmp_path / "material.json").read_text()
    path.write_text("\n".join([*lines[:4], lines[4][:30]]))  # killed while it wrote the fifth line
    assert "2 of 6 measurements are missing" in call("--draws", "1", "--seconds", "600")
    again = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert [{**one, "seconds": 0} for one in again] == [{**json.loads(line), "seconds": 0} for line in lines]
    assert (tmp_path / "material.json").read_text() == material
    text = (tmp_path / "selection.md").read_text()
    assert "## gptq, 4 bits, groups of 32, 200 tokens" in text and "| seeds@off " in text
    assert "self-32@0.07+template=2" in (tmp_path / "selection.svg").read_text()
    assert "the time is over" in call("--draws", "2", "--seconds", "0")
    assert "6 of 12 measurements are missing" in call("--draws", "2", "--seconds", "600", "--processes", "2")
    assert all((tmp_path / f"selection-{part}.jsonl").read_text().count("\n") == 3 for part in (1, 2))
    assert "0 of 12 measurements are missing" in call("--draws", "2")
    assert len(path.read_text().splitlines()) == 7, "the processes do not repeat what is measured"


@pytest.mark.parametrize("method", ["gptq", "gptaq", "spqr", "w8a8"])
def test_it_quantizes_as_a_run_does(tiny: Path, tmp_path: Path, bench: Any, method: str) -> None:
    """The dense weights and the activations' rounding are those of the artefact."""
    ids = make_rows(tmp_path / "rows.jsonl", count=4)
    keys = {"bits": 8, "group_size": -1} if method == "w8a8" else {"bits": 4, "group_size": 32}
    damping = {"damp_percent": bench.model.DAMP} if method.startswith("gpt") else {}
    recipe = {"method": method, **keys, **damping, "sink_share": 0.2}
    spec = {"artefact": "x", "model": str(tiny), "recipe": recipe, "rows": str(tmp_path / "rows.jsonl")}
    task.run({**spec, "out": str(tmp_path / "x"), "device": "cpu"}, lambda *_, **__: None, CancelToken())
    artefact = load_dense(tmp_path / "x", torch.float32, "cpu")
    made = bench.model.Bench(tiny, "cpu", "float32")
    rows = [bench.main.Row(tuple(row), bytes([0]) + bytes([2]) * (len(row) - 1)) for row in ids]
    weights = bench.main.weights_of("0.2", rows)
    made.quantize(ids[:2], None, "gptq", 4, 32)  # the next quantization does not begin from these weights
    made.quantize(ids, weights, method, keys["bits"], keys["group_size"])
    with torch.inference_mode():
        ours, theirs, plain = (
            model(torch.tensor(ids[:1])).logits for model in (made.quantized, artefact, made.plain)
        )
    assert (ours - theirs).abs().max() < 0.02 * (ours - plain).abs().max()


def test_the_interval_is_students_t_over_paired_draws(bench: Any) -> None:
    change = bench.table.Change.of({0: 1.1, 1: 2.4, 2: 3.3, 9: 5.0}, {0: 1.0, 1: 2.0, 2: 3.0, 7: 1.0})
    assert change.draws == 3 and change.mean == pytest.approx(40 / 3)
    assert change.half == pytest.approx(4.3027 * 5.7735 / 3**0.5, rel=1e-3)
    assert bench.table.Change.of({0: 1.0}, {1: 1.0}) is None
    assert str(bench.table.Change.of({0: 1.1}, {0: 1.0})) == "+10.0%"
