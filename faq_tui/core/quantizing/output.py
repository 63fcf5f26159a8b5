"""Complete the folder of an artefact: its manifest, its average bits and its side files.

`faq_manifest.json` records how the artefact was made. The manifest is written last, so a folder with a manifest is
complete.
"""

from __future__ import annotations

import json
import platform
import shutil
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import faq_tui
from faq_tui.core.base.files import read_json

NAME = "faq_manifest.json"


def write_manifest(folder: Path, body: dict[str, Any]) -> None:
    """Write the manifest atomically. The manifest holds `body` and the package versions."""
    whole = {**body, "versions": versions()}
    part = folder / (NAME + ".part")
    part.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(folder / NAME)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of an artefact's folder. Returns None if the folder is not complete."""
    try:
        body = read_json(folder / NAME)
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def is_whole(folder: Path) -> bool:
    """True if the folder holds a complete artefact."""
    return read_manifest(folder) is not None


def average_bits(bits: int, group_size: int, shapes: Iterable[tuple[int, int]]) -> float:
    """The average number of bits per quantized weight over all `shapes` (out_features, in_features).

    Each output row is split into groups of `group_size` inputs. With `group_size` -1, the whole row is one group.
    Each group stores one 16-bit scale and one zero point of `bits` bits. Therefore a weight needs about bits + (16 +
    bits) / group_size bits. For example, 3-bit weights with groups of 128 need 0.15 additional bits per weight (GPTQ,
    arXiv:2210.17323, section 4). As in the paper on GPTQ, the tensor `g_idx` is not counted. If desc_act is false,
    the CUDA kernels do not need `g_idx`.
    """
    weights = stored = 0
    for out_features, in_features in shapes:
        groups = 1 if group_size == -1 else -(-in_features // group_size)
        weights += out_features * in_features
        stored += out_features * (in_features * bits + groups * (16 + bits))
    return stored / weights


def versions() -> dict[str, str | None]:
    """The versions of the packages that affect the quantized weights.

    If a package is not installed, its version is None.
    """
    installed: dict[str, str | None] = {"python": platform.python_version(), "faq_tui": faq_tui.__version__}
    packages = ("torch", "transformers", "gptqmodel", "compressed-tensors")
    return installed | {name: _version(name) for name in packages}


@cache  # reading a package's metadata takes milliseconds, and each artefact has the versions in its manifest
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class EngineResult:
    average_bits: float  # bits per quantized weight, including scales, zero points and all other data for decoding
    facts: dict[str, Any] = field(default_factory=dict)  # further entries of the manifest


# These side files are copied byte for byte, because gptqmodel would add a pad token to the tokenizer.
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
    """Copy the side files of the folder `target` into `out`.

    The function also removes the path of gptqmodel's offload folder from the configs.
    """
    for pattern in SIDE_FILES:
        for source in target.glob(pattern):
            if source.is_file():
                copy = out / source.relative_to(target)
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, copy)
    for name in ("config.json", "quantize_config.json"):
        path = out / name
        if path.is_file():
            body = read_json(path)
            meta = body.get("quantization_config", body).get("meta", {})
            meta.pop("offload_to_disk_path", None)
            path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def coverage(losses: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each layer, count the calibration tokens that reached each expert.

    The result has the smallest, the median and the largest count of each layer.

    `losses` is `QuantizationProgress.losses`. `rounded_experts` lists the experts that got too few tokens and were
    only rounded.
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
