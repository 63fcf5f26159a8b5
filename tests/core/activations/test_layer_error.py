"""The error of each layer's output against a computation on the whole hidden states."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest

from faq_tui.core.activations import layer_error_task
from faq_tui.core.activations.layer_error import layer_errors, layers_of, measure_layer_errors, write_reference
from faq_tui.core.activations.view import overview
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.target import find_target
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, Note
from faq_tui.core.run.run import open_run
from faq_tui.core.store.activations import all_layer_errors
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.worker import forked
from tests.support.tiny import make_tiny_model

ROWS = [[7 * n % 512 for n in range(length)] for length in (30, 11, 25)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("target"), dtype="float32")


def shaken(folder: Path, place: Path) -> Path:
    """The same model with noise in its second layer."""
    import torch

    model = load_dense(folder, torch.float32, "cpu")
    with torch.no_grad():
        weight = model.model.layers[1].mlp.down_proj.weight
        weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    model.save_pretrained(place)
    return place


def states(model: Any) -> list[Any]:
    """[layers] of [tokens, hidden], each row's first token left out."""
    import torch

    found: list[list[Any]] = [[] for _ in range(3)]
    hooks = [
        layer.register_forward_hook(
            lambda _m, _a, out, n=n: found[n].append(
                (out[0] if isinstance(out, tuple) else out)[0, 1:].double().numpy()
            )
        )
        for n, layer in enumerate(model.model.layers)
    ]
    with torch.inference_mode():
        for row in ROWS:
            model(torch.tensor([row]))
    for hook in hooks:
        hook.remove()
    return [np.concatenate(parts) for parts in found]


def test_errors_equal_brute_force(folder: Path, tmp_path: Path) -> None:
    import torch

    other = shaken(folder, tmp_path / "other")
    messages: list[dict[str, Any]] = []
    rows, scratch = tmp_path / "rows.json", tmp_path / "reference.npy"
    rows.write_text(json.dumps(ROWS))
    spec = {
        "model": str(folder),
        "trust_remote_code": False,
        "device": "cpu",
        "dtype": "float32",
        "rows": str(rows),
        "out": str(scratch),
        "subjects": {"same": str(folder), "other": str(other)},
    }
    layer_error_task.run(spec, lambda kind, **body: messages.append({"kind": kind, **body}), CancelToken())
    assert [message["subject"] for message in messages] == ["same", "other"]
    assert messages[0]["errors"] == [0.0, 0.0, 0.0]
    plain, moved = (states(load_dense(place, torch.float32, "cpu")) for place in (folder, other))
    wanted = [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in zip(plain, moved, strict=True)]
    assert wanted[0] == 0 and wanted[1] > 0.001
    np.testing.assert_allclose(messages[1]["errors"], wanted, rtol=1e-5)
    assert not scratch.exists()


def test_a_stop_and_another_shape(folder: Path, tmp_path: Path) -> None:
    import torch

    model = load_dense(folder, torch.float32, "cpu")
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Stopped):
        write_reference(model, ROWS, tmp_path / "r.npy", cancel)
    write_reference(model, ROWS, tmp_path / "r.npy", CancelToken())
    with pytest.raises(FaqError, match="does not have the same layers as the unquantized model"):
        layer_errors(model, ROWS[:2], tmp_path / "r.npy", CancelToken())
    assert len(layers_of(model)) == 3
    assert not any(module._forward_hooks for module in model.modules())


TOML = """
[target]
model = "./target"
device = "cpu"
[seeds]
path = "seeds.jsonl"
heldout = 0
[[recipes]]
group_size = 64
sets = ["baseline"]
[activations]
layer_error_tokens = 300
"""


@pytest.mark.slow
def test_a_run_measures_what_is_missing_and_a_failure_is_a_warning(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    (tmp_path / "target").symlink_to(folder)
    (tmp_path / "faq.toml").write_text(TOML)
    name = "gptq-w4g64-baseline"
    shaken(folder, tmp_path / "models" / name)
    events: list[Event] = []
    with open_run(tmp_path) as run:
        add_artefact(run.store, Artefact(name, "one", {}, "baseline", None, 4, 400, 4.3, 1.0))
        context = Context(run, events.append, CancelToken(), "20260101-000000-abcd")
        target, tokenizer = find_target(run, print), AutoTokenizer.from_pretrained(folder)
        measure_layer_errors(context, target, tokenizer)
        row = all_layer_errors(run.store)[name]
        assert len(row.errors) == 3 and row.errors[0] == 0 < row.errors[1] and row.text == "pydoc"
        assert 0 < row.tokens < 300 and not list(run.cache.iterdir()) and events == []
        assert overview(run).errors == {name: row.errors}
        rmtree(run.models / name)
        measure_layer_errors(context, target, tokenizer)
        assert events == [], "nothing is missing"
        add_artefact(run.store, Artefact(name, "two", {}, "baseline", None, 4, 400, 4.3, 1.0))
        measure_layer_errors(context, target, tokenizer)
        assert [event.level for event in events if isinstance(event, Note)] == ["warning"]


@pytest.mark.parametrize("deaths", [1, 2])
@pytest.mark.slow
def test_a_worker_that_dies_is_started_again_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    from transformers import AutoTokenizer

    (tmp_path / "target").symlink_to(folder)
    (tmp_path / "faq.toml").write_text(TOML)
    name = "gptq-w4g64-baseline"
    shaken(folder, tmp_path / "models" / name)
    events: list[Event] = []
    children: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        children.append(real(*command, **options))
        if len(children) <= deaths:
            children[-1].kill()
        return children[-1]

    with open_run(tmp_path) as run:
        add_artefact(run.store, Artefact(name, "one", {}, "baseline", None, 4, 400, 4.3, 1.0))
        context = Context(run, events.append, CancelToken(), "20260101-000000-abcd")
        target, tokenizer = find_target(run, print), AutoTokenizer.from_pretrained(folder)
        monkeypatch.setattr(forked, "safe", lambda: False)
        monkeypatch.setattr(subprocess, "Popen", start)
        measure_layer_errors(context, target, tokenizer)
        assert len(children) == 2 and not list(run.cache.iterdir())
        assert list(all_layer_errors(run.store)) == ([name] if deaths == 1 else [])
    notes = [event for event in events if isinstance(event, Note)]
    assert [note.level for note in notes] == ["info", "warning"][:deaths]
    assert all("layer_error was killed by the system" in note.message for note in notes)


def test_models_that_are_read_layer_by_layer_have_the_same_errors(folder: Path, tmp_path: Path) -> None:
    other = shaken(folder, tmp_path / "other")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    found: dict[str, list[float]] = {}
    for read in ("whole", "layers"):
        spec = {
            "model": str(folder),
            "trust_remote_code": False,
            "device": "cpu",
            "dtype": "float32",
            "read": read,
            "rows": str(tmp_path / "rows.json"),
            "out": str(tmp_path / "reference.npy"),
            "subjects": {"other": str(other)},
        }
        layer_error_task.run(
            spec, lambda kind, read=read, **body: found.update({read: body["errors"]}), CancelToken()
        )
    assert found["layers"] == pytest.approx(found["whole"], rel=1e-4) and found["layers"][1] > 0.001
