"""Every method on the walk: a killed or stopped quantization goes on at its layer, and ends with the same bits."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.output import read_manifest
from tests.support.quantize_bench import GROUP, MODULES, Bench, Message, children
from tests.support.tiny import make_rows, make_tiny_mixture, make_tiny_model

pytestmark = pytest.mark.slow

LAYERS, END_AT = 5, 3
OWN: dict[str, dict[str, Any]] = {
    "gptq": {"group_size": GROUP, "engine": "walk"},
    "gptaq": {"group_size": GROUP, "engine": "walk"},
    "spqr": {"group_size": GROUP, "bits": 3},
    "w8a8": {"group_size": -1, "bits": 8},
}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("walked")
    return Bench(root, make_tiny_model(root / "target", layers=LAYERS), make_rows(root / "rows.jsonl", count=4))


def spec_of(deep: Bench, name: str, method: str, **job: Any) -> dict[str, Any]:
    keys = {"method": method, **OWN[method]}
    return deep.spec(name, **keys, checkpoints=str(deep.root / f"checkpoints-{name}"), **job)


def files_of(folder: Path) -> dict[str, Any]:
    """All tensors of an artefact, those beside the weights too."""
    return {
        f"{path.relative_to(folder)}/{name}": tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def told(messages: list[Message], kind: str) -> list[Message]:
    return [message for message in messages if message["kind"] == kind]


def interrupted(deep: Bench, spec: dict[str, Any], kind: str, how: str = "stop") -> list[Message]:
    """Ended when the message `kind` of the layer END_AT came, or the first one without a layer."""
    messages, cancel = list[Message](), CancelToken()

    def hear(message: Message) -> None:
        messages.append(message)
        if message["kind"] == kind and message.get("layer", END_AT) == END_AT:
            if how == "stop":
                cancel.set()
            else:
                for child in children():
                    os.kill(child, signal.SIGKILL)

    with pytest.raises(Stopped if how == "stop" else FaqError):
        if how == "stop":
            task.run(spec, lambda kind, **body: hear({"kind": kind, **body}), cancel)
        else:
            deep.worker(spec, hear, cancel)
    shutil.rmtree(spec["out"], ignore_errors=True)  # as the stage does before it begins again
    return messages


def finished(deep: Bench, spec: dict[str, Any]) -> tuple[list[Message], dict[str, Any], dict[str, Any]]:
    """All messages, the manifest and the tensors."""
    messages = deep.here(spec)
    manifest = read_manifest(Path(spec["out"]))
    assert manifest is not None and not Path(spec["checkpoints"]).exists()
    return messages, manifest, files_of(Path(spec["out"]))


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("method", OWN)
def test_it_goes_on_at_its_layer_and_gives_the_same_bits(deep: Bench, method: str, devices: int) -> None:
    _, plain, whole = finished(deep, spec_of(deep, f"whole-{method}-{devices}", method, devices=devices))
    assert "resumed_at_layer" not in plain and plain.get("devices", 1) == devices
    spec = spec_of(deep, f"{method}-{devices}", method, devices=devices)
    before = interrupted(deep, spec, "module", "kill")
    interrupted(deep, spec, "layer_started")  # and once more, before anything new is done
    interrupted(deep, spec, "saving")  # a kill could come too late: the checkpoints go when the model is written
    after, manifest, made = finished(deep, spec)
    assert manifest["resumed_at_layer"] == LAYERS and [m["layer"] for m in told(after, "resumed")] == [LAYERS]
    old = {(m["layer"], m["module"]): m for m in told(before, "module") if m["layer"] < END_AT}
    new = {(m["layer"], m["module"]): m for m in told(after, "module")}
    assert len(old) == END_AT * len(MODULES) and len(new) == LAYERS * len(MODULES)
    assert all(new[place] == message for place, message in old.items())
    losses = [[(one["module"], one["loss"]) for one in body["losses"]] for body in (plain, manifest)]
    assert losses[0] == losses[1] and manifest["average_bits"] == plain["average_bits"]
    assert equal(made, whole)


@pytest.mark.parametrize("fault", ["recipe", "rows", "damaged", "devices", "none"])
def test_what_does_not_fit_is_begun_anew(deep: Bench, fault: str) -> None:
    spec = spec_of(deep, f"fault-{fault}", "gptq")
    interrupted(deep, spec, "module")
    if fault == "recipe":
        spec = {**spec, "recipe": {**spec["recipe"], "damp_percent": 0.2}}
    elif fault == "rows":
        make_rows(deep.root / "other.jsonl", count=3)
        spec = {**spec, "rows": str(deep.root / "other.jsonl")}
    elif fault == "devices":  # the sums of the Hessians would have other last bits
        spec = {**spec, "devices": 2}
    elif fault == "damaged":
        (Path(spec["checkpoints"]) / "layers" / "layer-00001.safetensors").write_bytes(b"x")
    after, manifest, _ = finished(deep, spec)
    expected = {"recipe": None, "rows": None, "damaged": 1, "devices": None, "none": END_AT}[fault]
    assert manifest.get("resumed_at_layer") == expected
    assert [m["layer"] for m in told(after, "layer_started")] == list(range(LAYERS))


@pytest.mark.parametrize("method", [*OWN, "mixture"])
def test_several_devices_make_almost_the_artefact_of_one(deep: Bench, method: str) -> None:
    """The sums of the Hessians have other last bits, so a weight between two codes can get the other code.

    Later layers then get slightly other inputs. Therefore the codes of the first layer are compared.
    """
    make_rows(deep.root / "more.jsonl", count=24)  # more tokens than columns, so that no Hessian is nearly singular
    more: dict[str, Any] = {"rows": str(deep.root / "more.jsonl")}
    if method == "mixture":
        method, more["model"] = "gptq", str(make_tiny_mixture(deep.root / "mixture"))
    name = f"{method}-{len(more)}"
    _, one, codes = finished(deep, spec_of(deep, f"{name}-one", method, **more))
    _, three, found = finished(deep, spec_of(deep, f"{name}-three", method, **more, devices=3))
    assert "devices" not in one and three["devices"] == 3
    losses = [sum(loss["loss"] or 0.0 for loss in body["losses"]) for body in (one, three)]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    tokens = [[loss["samples"] for loss in body["losses"] if loss["layer"] == 0] for body in (one, three)]
    assert tokens[0] == tokens[1]
    same = total = 0
    for key, tensor in codes.items():
        if ".layers.0." in key and (key.endswith(("weight", "codes"))) and "norm" not in key:
            same, total = same + int((tensor == found[key]).sum()), total + tensor.numel()
    assert total and same >= 0.97 * total
