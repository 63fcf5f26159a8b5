"""A task's spec with the paths of another machine."""

from __future__ import annotations

import json
from pathlib import Path

from faq_tui.core.cluster.places import inputs_of, moved


def test_paths_of_a_quantization(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "rows.jsonl").touch()
    spec = {
        "model": str(tmp_path / "target"),
        "rows": str(tmp_path / "rows.jsonl"),
        "out": str(tmp_path / "models" / ".half-a"),
        "checkpoints": str(tmp_path / ".cache" / "checkpoints" / "a-1"),
        "device": "cpu",
    }
    assert inputs_of("quantize", spec) == [spec["model"], spec["rows"]]
    assert inputs_of("quantize", {**spec, "model": "Qwen/Qwen3-8B"}) == [spec["rows"]]
    here = {spec["model"]: "/there/target", spec["rows"]: "/there/rows.jsonl"}
    new = moved("quantize", spec, here, tmp_path / "own")
    assert new["model"] == "/there/target" and new["rows"] == "/there/rows.jsonl" and new["device"] == "cpu"
    assert Path(new["out"]) == tmp_path / "own" / "out" / ".half-a"
    assert Path(new["checkpoints"]) == tmp_path / "own" / "a-1"


def test_paths_inside_the_order_of_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "models" / "a").mkdir(parents=True)
    order = tmp_path / "evaluate-a.json"
    folder = str(tmp_path / "models" / "a")
    body = {
        "model": "Qwen/Qwen3-8B",
        "cache": "/run/.cache",
        "subjects": {"unquantized": ["1", ""], "a": ["2", folder]},
    }
    order.write_text(json.dumps(body), encoding="utf-8")
    spec = {"order": str(order)}
    assert inputs_of("evaluate", spec) == [str(order), folder]
    own = tmp_path / "own"
    own.mkdir()
    new = moved("evaluate", spec, {str(order): str(order), folder: "/there/a"}, own)
    found = json.loads(Path(new["order"]).read_text(encoding="utf-8"))
    assert Path(new["order"]).parent == own and found["cache"] == str(tmp_path) and found["model"] == "Qwen/Qwen3-8B"
    assert found["subjects"] == {"unquantized": ["1", ""], "a": ["2", "/there/a"]}
