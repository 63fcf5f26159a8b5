"""A finished run made by the code of commit 0ebf15d, as a folder that any later code can open.

The stored run (`fixtures/run-0ebf15d`) has no weights. This module computes the target's weights from a hash, so that
they have the same bytes on every machine and with every version of torch and numpy. The artefacts of the run have
manifests and configurations. Instead of weights, they have empty files of the same size, because the report states
this size.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from tests.support.paths import FIXTURES

STORED = FIXTURES / "run-0ebf15d"
STATUS = "status.json"  # what `faq-tui status --json` printed of the run
SIZES = "weight-sizes.json"  # the weight files of the artefacts: path to bytes

# Stages sign the size and the modification time of files that a person writes. Git keeps no times.
MTIME_NS = 1_700_000_000_000_000_000
SIGNED_BY_TIME = ("seeds.jsonl", "prose.txt", "pages.jsonl", "passages.jsonl", "cases.jsonl")

# Defaults of recipes that have changed since then. Without these keys, the artefacts of the run would be out of date.
CHANGED_DEFAULTS = {
    "gptq": "damp_percent = 0.05\nscale_search = false\n",
    "gptaq": "scale_search = false\n",
    "spqr": 'sink_share = "off"\n',
}

BYTES = 8  # of the hash are added up for one weight, so that weights are about normally distributed
HALF_RANGE = BYTES * 255 // 2


def copy_of_stored(folder: Path) -> Path:
    """Copy the stored run to `folder`, which must not exist, and complete it with what Git cannot hold."""
    shutil.copytree(STORED, folder)
    (folder / STATUS).unlink()
    for name, size in json.loads((folder / SIZES).read_text(encoding="utf-8")).items():
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(size)  # a hole: it takes no space
    (folder / SIZES).unlink()
    settings = folder / "faq.toml"
    text = settings.read_text(encoding="utf-8")
    for method, keys in CHANGED_DEFAULTS.items():
        text = text.replace(f'method = "{method}"\n', f'method = "{method}"\n{keys}')
    settings.write_text(text, encoding="utf-8")
    write_weights(folder / "target")
    set_times(folder)
    return folder


def pick_of_a_person(folder: Path, agrees: bool) -> None:
    """A person picks what the judge picked for a seed, or another candidate."""
    # The program that made the stored run imports this module, too, with the code of commit 0ebf15d.
    from faq_tui.core.overrides import pick
    from faq_tui.core.run.run import open_run

    with open_run(folder) as run:
        name = next(iter(run.settings.sources))
        query = (
            "SELECT p.seed_id, c.number = k.number AS same, c.number FROM picks p"
            " JOIN candidates k ON k.id = p.candidate_id JOIN candidates c ON c.seed_id = p.seed_id"
            " AND c.generation = k.generation AND c.flags = '[]' WHERE p.picked_by = 'judge' AND p.source = ?"
            " AND NOT EXISTS (SELECT 1 FROM picks o WHERE o.seed_id = p.seed_id AND o.picked_by = 'person')"
            " ORDER BY p.id"
        )
        rows = run.store.db.execute(query, (name,)).fetchall()
        seed_id, _, number = next(row for row in rows if bool(row["same"]) is agrees)
        pick(run, seed_id, name, number, "")


def set_times(folder: Path) -> None:
    """Give the run's signed files the modification time that they had when the run was made."""
    for name in SIGNED_BY_TIME:
        os.utime(folder / name, ns=(MTIME_NS, MTIME_NS))


def write_weights(target: Path) -> None:
    """Write `model.safetensors` of the Llama model that `config.json` in the folder describes, in bfloat16."""
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blobs, start = [], 0
    for name, shape in sorted(_shapes(config).items()):
        blob = _tensor(name, shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, start + len(blob)]}
        blobs.append(blob)
        start += len(blob)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    (target / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + b"".join(blobs))


def _shapes(config: dict[str, int]) -> dict[str, list[int]]:
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    head = hidden // config["num_attention_heads"]
    keys = head * config["num_key_value_heads"]
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], hidden], "model.norm.weight": [hidden]}
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        shapes |= {
            f"{layer}.input_layernorm.weight": [hidden],
            f"{layer}.post_attention_layernorm.weight": [hidden],
            f"{layer}.self_attn.q_proj.weight": [hidden, hidden],
            f"{layer}.self_attn.k_proj.weight": [keys, hidden],
            f"{layer}.self_attn.v_proj.weight": [keys, hidden],
            f"{layer}.self_attn.o_proj.weight": [hidden, hidden],
            f"{layer}.mlp.gate_proj.weight": [middle, hidden],
            f"{layer}.mlp.up_proj.weight": [middle, hidden],
            f"{layer}.mlp.down_proj.weight": [hidden, middle],
        }
    return shapes


def _tensor(name: str, shape: list[int]) -> bytes:
    """Little-endian bfloat16: ones for a norm, else sums of hashed bytes with a standard deviation near 0.1."""
    import numpy as np

    count = int(np.prod(shape))
    if "norm" in name:
        values = np.ones(count, dtype="<f4")
    else:
        stream = hashlib.shake_256(name.encode()).digest(count * BYTES)
        sums = np.frombuffer(stream, dtype=np.uint8).reshape(count, BYTES).sum(axis=1, dtype=np.int32)
        values = ((sums - HALF_RANGE) / 2048).astype("<f4")  # exact: a power of two
        # One channel is far larger than the others, as in real models: there is an outlier to find.
        if name.endswith("v_proj.weight"):
            values = values.reshape(shape)
            values[5] *= 16
    # The upper half of a float32 is the bfloat16 below it.
    return (values.reshape(-1).view("<u4") >> 16).astype("<u2").tobytes()
