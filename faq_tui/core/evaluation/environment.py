"""Store the device, dtype and package versions of the measurements in `reports/evaluation.json`, for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faq_tui.core.base.files import atomic_text, read_json
from faq_tui.core.evaluation.kinds import ANSWERS
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.evaluation.texts import describe
from faq_tui.core.models.headers import view_of
from faq_tui.core.quantizing.output import versions
from faq_tui.core.run.run import Run

BITS = {"float32": 32, "bfloat16": 16, "float16": 16}


def _path(run: Run) -> Path:
    return run.reports / "evaluation.json"


def write_environment(run: Run, spec: Spec, worker: dict[str, Any]) -> None:
    """Write the file.

    `worker` has the keys device, device_name, dtype, weight_bytes and bits. `weight_bytes` and `bits` are the size
    and the bits per weight of the unquantized target.
    """
    texts = {name: describe(run, name, text.items) for name, text in spec.texts.items()}
    if spec.answers:
        texts[ANSWERS] = describe(run, ANSWERS, ())
    with atomic_text(_path(run)) as file:
        json.dump({**worker, "versions": versions(), "texts": texts}, file, indent=2)


def read_environment(run: Run) -> dict[str, Any]:
    """Read what `write_environment` has written. The dict is empty if the file is missing or damaged."""
    try:
        body = read_json(_path(run))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def weight_bytes(folder: Path) -> int:
    """The size in bytes of the weight files in a model folder."""
    return sum(f.stat().st_size for f in folder.iterdir() if f.suffix in (".safetensors", ".bin"))


def dense_bytes(folder: Path) -> int:
    """The size in bytes of the weights of an unquantized model.

    If the publisher quantized the model, this is the size of its dense weights in the dtype that `stored_bits`
    counts.
    """
    view = view_of(folder)
    return weight_bytes(folder) if view is None else sum(size for _, _, size in view.tensors.values())


def stored_bits(folder: Path) -> int | None:
    """Bits per weight of an unquantized model, from its config.json. Returns None for an unknown dtype."""
    config = read_json(folder / "config.json")
    for part in (config, config.get("text_config", {})):
        name = str(part.get("dtype") or part.get("torch_dtype"))
        if name in BITS:
            return BITS[name]
    return None
