"""A run whose activations are made up: a floor for every channel, and a few that stand out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from faq_tui.core.activations import files
from faq_tui.core.activations.module_refs import ModuleRef
from faq_tui.core.activations.statistics import METRICS, Moments
from faq_tui.core.chat.token_kinds import KINDS
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.store.activations import ActivationsRow, LayerErrors, add_activations, add_layer_errors
from faq_tui.core.store.artefacts import Artefact, add_artefact

TOML = """
[target]
model = "./target"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://elder:8000/v1"
model = "Big-8B"
[[recipes]]
group_size = 64
[evaluate]
bootstrap = 200
"""
LAYERS, CHANNELS = 12, 512
MODULES = ("self_attn.o_proj", "mlp.down_proj")
SETS = {"baseline": 1.0, "elder": 2.4, "baseline-tokens": 1.0, "elder-tokens": 1.0}  # how high the peaks are
SPIKES = (70, 200, 201)  # channels


@contextmanager
def spiky_run(folder: Path, sets: dict[str, float] = SETS, modules: tuple[str, ...] = MODULES) -> Iterator[Run]:
    (folder / "target").mkdir(parents=True)
    (folder / "target" / "config.json").write_text("{}")
    (folder / "faq.toml").write_text(TOML)
    with open_run(folder) as run:
        for number, (name, height) in enumerate(sets.items()):
            add_made_up(run, name, height, modules, seed=number)
        for name, error in (("gptq-w4g64-baseline", 0.08), ("gptq-w4g64-elder", 0.05)):
            errors = [error * (layer + 1) / LAYERS for layer in range(LAYERS)]
            artefact = Artefact(name, name, {}, name.rpartition("-")[2], None, 20, 3420, 4.3, 60.0)
            add_artefact(run.store, artefact)
            add_layer_errors(run.store, LayerErrors(name, "signature", "answers", 1000, errors))
        yield run


def add_made_up(
    run: Run,
    name: str,
    height: float,
    modules: tuple[str, ...] = MODULES,
    seed: int = 0,
    experts: dict[str, list[int]] | None = None,
) -> None:
    dice = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    places = []
    for module in modules:
        for layer in range(LAYERS):
            place = ModuleRef(layer, module)
            cells = dice.uniform(0.2, 1.0, (128, CHANNELS)).astype(np.float32)
            cells[::7, list(SPIKES)] = 4.0 * height * (1 + layer / LAYERS)
            tensors[f"landscape.{place.name}"] = np.ascontiguousarray(cells.reshape(128, 256, 2).max(-1))
            tensors[f"absmax.{place.name}"] = cells.max(0)
            values = {metric: float(height * (3 + layer) + 0.1 * dice.standard_normal()) for metric in METRICS}
            values |= {metric: values[metric] / 1000 for metric in METRICS[5:]}  # shares
            values["max"] = float(cells.max())
            sink = {KINDS[0]: asdict(Moments(CHANNELS, 9.5, 1.0, 9.5, 3.0, 1.0))}
            places.append({"layer": layer, "module": module, "channels": CHANNELS, **values, "kinds": sink})
    files.write(files.path_of(run, name), tensors, {"signature": name})
    counts = dict(zip(KINDS, (20, 400, 600, 1500, 900), strict=True))
    summary = {"dtype": "float32", "device": "cpu", "kinds": counts, "places": places, "experts": experts or {}}
    add_activations(run.store, ActivationsRow(name, name, 20, 3420, 12.0, summary))
