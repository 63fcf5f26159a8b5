"""A run with one complete artefact that servers can load, made in milliseconds: dense, made-up weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from faq_tui.core.base.hashing import digest
from faq_tui.core.models.target import fingerprint
from faq_tui.core.quantizing.output import write_manifest
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages import quantize
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.model_cards import manifest_of
from tests.support.upload_hub import TOKEN

SETTINGS = """
[target]
model = "./target"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://elder.example:8000/v1"
model = "Big-8B"
[[recipes]]
method = "spqr"
sets = ["elder"]
"""
NAME = "spqr-w4g128-elder"
MIT = "---\nlicense: mit\n---\n"
SAMPLES = [
    {"seed_id": f"q{n}", "candidate_id": n, "source": "elder", "text": f"text {n}", "input_ids": [n, n + 1, n + 2]}
    for n in range(3)
]


@contextmanager
def pushed_run(folder: Path, card: str = MIT, shards: int = 2, **changes: Any) -> Iterator[Run]:
    """The run. `card` is the README.md of the target, and `changes` are entries of the manifest."""
    target = folder / "target"
    target.mkdir(parents=True)
    (target / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (target / "README.md").write_text(card)
    (folder / "faq.toml").write_text(SETTINGS)
    (folder / "calibration").mkdir()
    text = "".join(json.dumps(sample) + "\n" for sample in SAMPLES)
    (folder / "calibration" / "elder.jsonl").write_text(text)
    hashed = digest([sample["input_ids"] for sample in SAMPLES])
    with open_run(folder) as run:
        row = SetRow("elder", hashed, 3, 9, 9, 0, {})
        add_set(run.store, row)
        (recipe,) = run.settings.recipes
        signature = quantize.artefact_signature(run, recipe, row)
        assert recipe.folder("elder") == NAME and fingerprint(run)
        add_artefact(run.store, Artefact(NAME, signature, recipe.identity(), "elder", None, 3, 9, 4.3, 1.0))
        write_folder(run.models / NAME, shards)
        manifest = manifest_of(run, "elder", **changes)
        manifest["calibration"]["ids_hash"] = hashed
        write_manifest(run.models / NAME, manifest)
        yield run


def write_folder(folder: Path, shards: int = 2) -> None:
    """Weights of 200 kB a shard, in a folder that servers can load."""
    folder.mkdir(parents=True, exist_ok=True)
    dice, places = np.random.default_rng(0), {}
    for number in range(1, shards + 1):
        name, file = f"model.layers.{number}.weight", f"model-{number:05}-of-{shards:05}.safetensors"
        save_file({name: dice.standard_normal((50, 1000)).astype(np.float32)}, folder / file)
        places[name] = file
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    config = {"architectures": ["LlamaForCausalLM"], "_name_or_path": "/home/alice/target"}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "generation_config.json", "chat_template.jinja"):
        (folder / name).write_text("{}")
    (folder / "spqr").mkdir(exist_ok=True)
    (folder / "spqr" / "codes.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")


def at_hub(hub: str, home: Path, token: str = TOKEN) -> dict[str, Any]:
    """The environment in which the hub's library uses the local hub, without hf_xet and without a login."""
    return {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": token,
    }
