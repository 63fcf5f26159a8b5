"""Each method, stopped in the middle of a layer: it ends within a module, and begun anew it gives the same bits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import Stopped
from faq_tui.core.quantizing.output import is_whole
from tests.support.quantize_bench import GPTQMODEL, WALK, Bench, Message, children, tensors
from tests.support.tiny import make_rows, make_tiny_model

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.quantize_bench"]
LAYERS = 4
OWN: dict[str, dict[str, Any]] = {
    "gptq": {"engine": WALK},
    "gptq@gptqmodel": {"engine": GPTQMODEL},
    "gptaq": {"engine": WALK},
    "gptaq@gptqmodel": {"engine": GPTQMODEL},
    "awq": {"sym": False, "desc_act": None},
    "spqr": {"sym": None, "desc_act": None},
    "w8a8": {"bits": 8, "group_size": -1, "sym": None, "desc_act": None},
}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("stopped")
    return Bench(root, make_tiny_model(root / "target", layers=LAYERS), make_rows(root / "rows.jsonl", count=3))


@pytest.mark.parametrize("name", OWN)
def test_a_stop_ends_within_a_module_and_the_next_attempt_gives_the_same_bits(deep: Bench, name: str) -> None:
    import torch

    cancel, messages = CancelToken(), list[Message]()
    own = {"method": name.partition("@")[0], **OWN[name]}

    def stop_at_the_first_module(message: Message) -> None:
        messages.append(message)
        if message["kind"] == "module":
            cancel.set()

    checkpoints = deep.root / f"checkpoints-{name}"
    spec = deep.spec(f"stopped-{name}", **own, checkpoints=str(checkpoints), checkpoint_s=0.0)
    out = Path(spec["out"])
    with pytest.raises(Stopped):
        deep.worker(spec, stop_at_the_first_module, cancel)
    assert not children() and not is_whole(out)
    started = {message["layer"] for message in messages if message["kind"] == "layer_started"}
    assert 0 in started and LAYERS - 1 not in started
    assert not (out / ".work").exists()  # it unwound; a killed one leaves that
    assert not list(out.glob("*.safetensors"))
    shutil.rmtree(out, ignore_errors=True)
    if name != "gptq@gptqmodel":  # gptqmodel writes checkpoints of gptq only
        assert not (checkpoints / "store" / "CURRENT").exists()
    messages.clear()
    deep.worker(spec, messages.append, CancelToken())
    assert not any(message["kind"] == "resumed" for message in messages)
    assert not checkpoints.exists()
    whole = deep.spec(f"whole-{name}", **own)
    deep.worker(whole, lambda _message: None, CancelToken())
    made, expected = tensors(out), tensors(Path(whole["out"]))
    assert made.keys() == expected.keys() and all(torch.equal(made[name], expected[name]) for name in made)
