"""Which models can be quantized, and what is known about them before a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from faq_tui.core.models.devices import GpuInfo
from faq_tui.core.models.hub import HubModel
from faq_tui.core.setup import target_step
from faq_tui.core.setup.target_step import look_at_target
from tests.support.tiny import make_tiny_model


def test_a_folder(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    report = look_at_target("./model", tmp_path)
    assert not report.problem and report.name == str(folder) and report.folder == folder
    assert (report.weights or 0) > 1000 and report.missing == 0
    assert "A model folder" in report.lines[0].text


def test_the_embedded_model() -> None:
    report = look_at_target(" embedded ", Path())
    assert report.name == "embedded" and not report.problem and "SmolLM2-135M-Instruct" in report.lines[0].text


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "type a hub id"),
        ("Qwen3-8B", "is neither a folder nor a hub id"),
        ("./nothing", "there is no folder"),
        ("/nothing/at/all", "there is no folder"),
        ("a/b/c", "there is no folder"),
        ("~nosuch_user_here/x", "there is no folder|cannot be used"),
        ("file", "is a file: give the model's folder"),
        ("empty", "holds no config.json"),
        ("a\0b", "cannot be used|neither"),
        ("x" * 5000, "cannot be used"),
    ],
)
def test_what_is_refused(tmp_path: Path, answer: str, why: str) -> None:
    import re

    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    problem = look_at_target(answer, tmp_path).problem
    assert re.search(why, problem), problem
    assert "\n" not in problem


def test_a_hub_id_that_the_hub_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_step, "look_up", lambda _name: HubModel(16_400_000_000, gated=True))
    report = look_at_target("Qwen/Qwen3-8B", Path())
    assert report.missing == report.weights == 16_400_000_000 and report.name == "Qwen/Qwen3-8B"
    words = " ".join(line.text for line in report.lines)
    assert "16.4 GB" in words and "must grant you access" in words and "Family Qwen3" in words
    assert "Qwen/Qwen3-32B" in report.elders


def test_a_hub_that_cannot_be_asked_is_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_step, "look_up", lambda _name: None)
    report = look_at_target("someone/unknown-model", Path())
    assert not report.problem and report.lines[0].role == "warning" and report.elders == ()
    assert "family of this model is unknown" in report.lines[1].text


def answered(result: Any) -> Any:
    """The hub's library, whose answer is `result`."""

    def model_info(*_: Any, **__: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return mock.patch("huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=model_info))


def test_what_the_hub_answers() -> None:
    from huggingface_hub.errors import RepositoryNotFoundError

    from faq_tui.core.models.hub import look_up

    sizes = {"a.safetensors": 5, "b.safetensors": None, "consolidated.safetensors": 9, "a.bin": 7}
    files = [SimpleNamespace(rfilename=name, size=size) for name, size in sizes.items()]
    with answered(SimpleNamespace(siblings=files, gated="auto")):
        assert look_up("a/b") == HubModel(5, gated=True)
    with answered(SimpleNamespace(siblings=None, gated=False)):
        assert look_up("a/b") == HubModel(None, gated=False)
    with answered(OSError("no network")):
        assert look_up("a/b") is None
    with answered(RepositoryNotFoundError("no", response=mock.MagicMock())):
        assert "the hub has no model a/b" in look_at_target("a/b", Path("/nowhere")).problem


def test_without_a_gpu_the_run_should_be_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_step, "first_gpu", lambda: None)
    assert look_at_target("embedded", tmp_path).short
    monkeypatch.setattr(target_step, "first_gpu", lambda: GpuInfo("H100", 80 << 30))
    assert not look_at_target("embedded", tmp_path).short
