"""Complete a quantized folder: tokenizer and other files of the target, no path of this machine."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Copied byte for byte: gptqmodel would write another tokenizer, with a pad token.
SIDE_FILES = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.tiktoken",
    "chat_template*",
    "additional_chat_templates/*",
    "generation_config.json",
    "*.py",
    "LICENSE*",
)


def complete_folder(out: Path, target: Path) -> None:
    """Copy the side files of the folder `target` into `out`, and drop gptqmodel's offload path from the configs."""
    for pattern in SIDE_FILES:
        for source in target.glob(pattern):
            if source.is_file():
                copy = out / source.relative_to(target)
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, copy)
    for name in ("config.json", "quantize_config.json"):
        path = out / name
        if path.is_file():
            body = json.loads(path.read_text(encoding="utf-8"))
            meta = body.get("quantization_config", body).get("meta", {})
            meta.pop("offload_to_disk_path", None)
            path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def coverage(losses: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many calibration tokens reached the experts of each layer: fewest, median, most.

    `losses`: as the progress keeps them. Experts that too few tokens reached are listed: they were only rounded.
    """
    layers: dict[int, dict[str, Mapping[str, Any]]] = {}
    for entry in losses:
        if ".experts." in entry["module"]:
            expert = entry["module"].rpartition(".")[0]
            layers.setdefault(entry["layer"], {}).setdefault(expert, entry)
    lines = []
    for layer, experts in sorted(layers.items()):
        tokens = [int(entry["samples"]) for entry in experts.values()]
        rounded = sorted(name.rpartition(".")[2] for name, entry in experts.items() if entry["loss"] is None)
        lines.append(
            {
                "layer": layer,
                "experts": len(experts),
                "fewest_tokens": min(tokens),
                "median_tokens": statistics.median(tokens),
                "most_tokens": max(tokens),
                "rounded_experts": [int(name) for name in rounded if name.isdigit()],
            }
        )
    return lines
