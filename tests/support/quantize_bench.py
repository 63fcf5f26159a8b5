"""What the tests of the quantize worker share: a tiny target, its rows, and its GPTQ artefacts, made once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.worker import run_worker
from tests.support.tiny import make_rows, make_tiny_model

LAYERS, GROUP = 2, 32
WALK, GPTQMODEL = "walk", "gptqmodel"  # the engines of GPTQ
MODULES = {
    f"{block}_proj"
    for block in (
        "self_attn.q",
        "self_attn.k",
        "self_attn.v",
        "self_attn.o",
        "mlp.gate",
        "mlp.up",
        "mlp.down",
    )
}
Message = dict[str, Any]
MakeOnce = Callable[[str, Callable[[Path], None]], Path]  # the fixture of tests/conftest.py


@dataclass(frozen=True)
class Bench:
    """A target, its calibration rows, and a place for artefacts."""

    root: Path
    model: Path
    ids: list[list[int]]

    def spec(self, name: str, **changes: Any) -> dict[str, Any]:
        """The job of one artefact. `changes`: fields of the job, or keys of its recipe."""
        job = {
            "artefact": name,
            "model": str(self.model),
            "trust_remote_code": False,
            "rows": str(self.root / "rows.jsonl"),
            "out": str(self.root / name),
            "device": "cpu",
            "backend": "auto",
        }
        recipe: dict[str, Any] = {"method": "gptq", "bits": 4, "group_size": GROUP}
        fields = QuantizationJob.__dataclass_fields__
        own = {key: value for key, value in changes.items() if key not in fields}
        of_job = {key: value for key, value in changes.items() if key in fields}
        return {**job, "recipe": {**recipe, **own}, **of_job}

    def worker(self, spec: dict[str, Any], on_message: Callable[[Message], None], cancel: CancelToken) -> None:
        run_worker("quantize", spec, on_message, cancel, self.root / "jobs" / "log.txt")

    def here(self, spec: dict[str, Any]) -> list[Message]:
        """Run the task in this process. Use this only for dense targets, or with the engine `walk`.

        For a mixture of experts, gptqmodel replaces classes of transformers until the process ends. Later tests would
        then use these replaced classes.
        """
        file = Path(spec["model"]) / "config.json"  # absent where the task is to refuse the model
        config = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if spec["recipe"].get("engine") != WALK:
            assert not any("experts" in key for key in config), "quantize a mixture of experts with `worker`"
        messages: list[Message] = []
        task.run(spec, lambda kind, **body: messages.append({"kind": kind, **body}), CancelToken())
        return messages


@dataclass(frozen=True)
class Artefact:
    engine: str
    bits: int
    folder: Path
    messages: list[Message]

    def of(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message["kind"] == kind]


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("quantizing")
    model = make_tiny_model(root / "target", layers=LAYERS)
    return Bench(root, model, make_rows(root / "rows.jsonl"))


ARTEFACTS = [(engine, bits) for engine in (WALK, GPTQMODEL) for bits in (4, 8)]


@pytest.fixture(scope="session")
def artefacts(bench: Bench, make_once: MakeOnce) -> dict[tuple[str, int], Artefact]:
    """4 and 8 bits by each engine, each from a worker child, made once for all test processes."""

    def make(folder: Path) -> None:
        for engine, bits in ARTEFACTS:
            messages: list[Message] = []
            spec = bench.spec(f"w{bits}", engine=engine, bits=bits, out=str(folder / f"{engine}-{bits}"))
            bench.worker(spec, messages.append, CancelToken())
            (folder / f"{engine}-{bits}.json").write_text(json.dumps(messages), encoding="utf-8")

    folder = make_once("artefacts", make)
    return {
        (engine, bits): Artefact(
            engine,
            bits,
            folder / f"{engine}-{bits}",
            json.loads((folder / f"{engine}-{bits}.json").read_text(encoding="utf-8")),
        )
        for engine, bits in ARTEFACTS
    }


@pytest.fixture(params=ARTEFACTS, ids=lambda one: f"{one[0]}-{one[1]}")
def artefact(request: pytest.FixtureRequest, artefacts: dict[tuple[str, int], Artefact]) -> Artefact:
    return artefacts[request.param]


def children() -> list[int]:
    """Worker children of this process that still live, started by it or by its fork server."""
    servers = _started(os.getpid(), b"core.worker.fork_server")
    found = _started(os.getpid(), b"faq_tui.core.worker\0")
    return found + [child for server in servers for child in _started(server, b"core.worker.fork_server")]


def _started(by: int, program: bytes) -> list[int]:
    """The live children of process `by` with `program` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = path.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == by and program in path.joinpath("cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))
