"""Runs made straight in the database, for panes that only read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faq_tui.core.quantizing.output import write_manifest
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages.quantize import STAGE, artefact_signature
from faq_tui.core.store import candidates, seeds, stages
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.sets import SetRow, add_set

TOML = """\
[target]
model = "./target"  # the one we ship

[seeds]
path = "seeds.jsonl"

[sources.elder]
base_url = "http://elder:8000/v1"
model = "Big-8B"

[sources.teacher]
base_url = "http://teacher:8000/v1"
model = "Teacher-9B"
candidates = 2

[[recipes]]
bits = 4            # four are enough
group_size = 64
sets = ["baseline", "elder"]

[[recipes]]
bits = 8
group_size = 64
sets = ["baseline"]
"""
MODULES = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


@contextmanager
def bare_run(folder: Path, count: int = 30, toml: str = TOML) -> Iterator[Run]:
    """`count` seeds to regenerate, and no candidate."""
    target = folder / "target"
    target.mkdir(parents=True)
    (target / "config.json").write_text("{}")
    (folder / "faq.toml").write_text(toml)
    with open_run(folder) as run:
        made = [Seed(({"role": "user", "content": f"Question number {n}?"},), None, f"s:{n}") for n in range(count)]
        seeds.replace_all(run.store, made)
        seeds.assign_roles(run.store, [seed.id for seed in made], [])
        yield run


def seed_ids(run: Run) -> list[str]:
    return seeds.ids(run.store)


def answer(
    run: Run, seed_id: str, number: int, text: str = "", source: str = "elder", flags: tuple[str, ...] = (),
    reasoning: str = "",
) -> int:  # fmt: skip
    """Store one finished candidate."""
    settings = run.settings.sources[source]
    return candidates.add(
        run.store,
        Candidate(
            seed_id=seed_id, source=source, number=number, source_hash=source_hash_of(settings), model=settings.model,
            prompt_version="none", reasoning=reasoning or f"Reasoning {number} of {source}.",
            answer=text or f"Answer {number} of {source}.", finish_reason="stop", flags=flags, prompt_tokens=9,
            completion_tokens=100, seconds=12.0, dialect="field",
        ),
    )  # fmt: skip


def loss_of(layer: int, module: str) -> float:
    return 1e-5 * (layer + 1) ** 2 * (MODULES.index(module) + 1)


def quantized_run(run: Run, layers: int = 12) -> Run:
    """Sets, the first artefact made, its manifest with losses, and a job's log."""
    for name in run.settings.set_names():
        add_set(run.store, SetRow(name, f"hash-{name}", 20, 4000, 4000, 0, {}))
    recipe = run.settings.recipes[0]
    name = recipe.folder("baseline")
    row = SetRow("baseline", "hash-baseline", 20, 4000, 4000, 0, {})
    signature = artefact_signature(run, recipe, row)
    add_artefact(run.store, Artefact(name, signature, recipe.identity(), "baseline", None, 20, 4000, 4.3125, 113.0))
    losses = [
        {"layer": layer, "module": module, "loss": loss_of(layer, module), "note": ""}
        for layer in range(layers)
        for module in MODULES
    ]
    (run.models / name).mkdir(parents=True)
    write_manifest(run.models / name, json.loads(json.dumps({"artefact": name, "losses": losses})))
    stages.begin(run.store, STAGE, "signature", "20260101-000000-abcd")
    stages.end(run.store, STAGE, "stopped", "stopped by request")
    log = run.log("20260101-000000-abcd")
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(f"INFO  line {n} of the log" for n in range(40)) + "\n")
    return run
