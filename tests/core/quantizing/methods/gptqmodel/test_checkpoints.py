"""A quantization by gptqmodel that is killed or stopped goes on at its layer, and ends with the same bits."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.quantizing.output import read_manifest
from tests.support.quantize_bench import MODULES, Bench, Message, children, tensors
from tests.support.tiny import make_rows, make_tiny_model

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.quantize_bench"]
LAYERS, END_AT = 4, 2


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("deep")
    model = make_tiny_model(root / "target", layers=LAYERS)
    # As in a hub's cache: files are links to elsewhere.
    (root / "blobs").mkdir()
    for path in [*model.glob("*.safetensors"), model / "config.json"]:
        path.rename(root / "blobs" / path.name)
        path.symlink_to(root / "blobs" / path.name)
    return Bench(root, model, make_rows(root / "rows.jsonl", count=4))


@pytest.fixture(scope="module")
def whole(deep: Bench) -> dict[str, Any]:
    """The weights that an uninterrupted run gives, without any checkpoint."""
    spec = deep.spec("whole", engine="gptqmodel")
    deep.worker(spec, lambda _message: None, CancelToken())
    return tensors(Path(spec["out"]))


def spec_of(deep: Bench, name: str, method: str) -> dict[str, Any]:
    place = str(deep.root / f"checkpoints-{name}")
    return deep.spec(name, method=method, engine="gptqmodel", checkpoints=place, checkpoint_s=0.0)


def interrupted(deep: Bench, spec: dict[str, Any], how: str) -> list[Message]:
    """Ended in the middle of layer END_AT."""
    messages, cancel = list[Message](), CancelToken()

    def hear(message: Message) -> None:
        messages.append(message)
        if message["kind"] == "module" and message["layer"] == END_AT:
            if how == "stop":
                cancel.set()
            else:
                for child in children():
                    os.kill(child, signal.SIGKILL)

    with pytest.raises(Stopped if how == "stop" else FaqError):
        deep.worker(spec, hear, cancel)
    assert not Path(spec["out"], "faq_manifest.json").exists()
    shutil.rmtree(spec["out"])  # as the stage does before it begins again
    return messages


def finished(deep: Bench, spec: dict[str, Any]) -> list[Message]:
    messages: list[Message] = []
    deep.worker(spec, messages.append, CancelToken())
    return messages


def told(messages: list[Message], kind: str) -> list[Message]:
    return [message for message in messages if message["kind"] == kind]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_it_goes_on_at_its_layer_and_gives_the_same_bits(deep: Bench, whole: dict[str, Any], how: str) -> None:
    spec = spec_of(deep, how, "gptq")
    before = interrupted(deep, spec, how)
    assert Path(spec["checkpoints"]).is_dir()
    after = finished(deep, spec)
    (resumed,) = told(after, "resumed")
    assert resumed["layer"] == END_AT
    # What was solved before is told again, with the losses of then; the rest is solved now.
    old = {(m["layer"], m["module"]): m for m in told(before, "module") if m["layer"] < END_AT}
    new = {(m["layer"], m["module"]): m for m in told(after, "module")}
    assert len(old) == END_AT * len(MODULES) and len(new) == LAYERS * len(MODULES)
    assert all(new[place] == message for place, message in old.items())
    assert [m["layer"] for m in told(after, "layer_started")] == list(range(LAYERS))
    assert sorted(m["layer"] for m in told(after, "layer_done")) == list(range(LAYERS))
    manifest = read_manifest(Path(spec["out"]))
    assert manifest is not None and manifest["resumed_at_layer"] == END_AT
    assert len(manifest["losses"]) == LAYERS * len(MODULES)
    made = tensors(Path(spec["out"]))
    assert made.keys() == whole.keys()
    assert all(torch.equal(made[name], whole[name]) for name in made)
    assert not Path(spec["checkpoints"]).exists()
    for name in ("config.json", "quantize_config.json"):
        assert str(deep.root) not in (Path(spec["out"]) / name).read_text()


def test_killed_while_saving_it_has_nothing_left_but_to_save(deep: Bench, whole: dict[str, Any]) -> None:
    spec = spec_of(deep, "saving", "gptq")

    def hear(message: Message) -> None:
        if message["kind"] == "saving":
            for child in children():
                os.kill(child, signal.SIGKILL)

    with pytest.raises(FaqError):
        deep.worker(spec, hear, CancelToken())
    shutil.rmtree(spec["out"])
    after = finished(deep, spec)
    (resumed,) = told(after, "resumed")
    manifest = read_manifest(Path(spec["out"]))
    assert manifest is not None and manifest["resumed_at_layer"] == resumed["layer"] == LAYERS
    assert len(manifest["losses"]) == LAYERS * len(MODULES)
    made = tensors(Path(spec["out"]))
    assert all(torch.equal(made[name], whole[name]) for name in whole)


def test_what_does_not_fit_is_begun_anew(deep: Bench, whole: dict[str, Any]) -> None:
    spec = spec_of(deep, "other", "gptq")
    interrupted(deep, spec, "kill")
    changed = {**spec, "recipe": {**spec["recipe"], "damp_percent": 0.2}}  # the stage would have named another folder
    after = finished(deep, changed)
    assert not told(after, "resumed") and [m["layer"] for m in told(after, "layer_started")] == list(range(LAYERS))
    made = tensors(Path(spec["out"]))
    assert not all(torch.equal(made[name], whole[name]) for name in made)
    assert not Path(spec["checkpoints"]).exists()


def test_damaged_checkpoints_are_begun_anew(deep: Bench, whole: dict[str, Any]) -> None:
    spec = spec_of(deep, "damaged", "gptq")
    interrupted(deep, spec, "kill")
    for path in (Path(spec["checkpoints"]) / "store" / "objects").iterdir():
        path.write_bytes(b"x")
    after = finished(deep, spec)
    assert not told(after, "resumed")
    made = tensors(Path(spec["out"]))
    assert all(torch.equal(made[name], whole[name]) for name in made)


def test_a_short_job_writes_none(deep: Bench) -> None:
    spec = {**spec_of(deep, "short", "gptq"), "checkpoint_s": 600.0}
    interrupted(deep, spec, "kill")
    assert not Path(spec["checkpoints"]).exists()
    assert json.loads((deep.model / "config.json").read_text())["num_hidden_layers"] == LAYERS
