"""A made-up run whose artefacts have folders: a manifest and a configuration, and a file in place of the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faq_tui.core.quantizing.output import write_manifest
from faq_tui.core.run.run import Run
from faq_tui.core.store.artefacts import all_artefacts

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 64, "sym": True, "desc_act": False},
}


def manifest_of(run: Run, set_name: str, **changes: Any) -> dict[str, Any]:
    return {
        "artefact": run.settings.recipes[0].folder(set_name),
        "model": str(run.folder / "target"),
        "recipe": run.settings.recipes[0].values(),
        "average_bits": 4.3125,
        "target": {"model": str(run.folder / "target")},
        "calibration": {
            "set": set_name,
            "ids_hash": "0123456789abcdef",
            "samples": 12,
            "tokens": 1200,
            "picked_by_person": 1,
            "seeds": {"path": "/home/alice/secret/seeds.jsonl", "count": 12, "sample_seed": 0},
            "assemble": {"max_tokens": 2048},
            "judge": {"kind": "llm", "model": "/home/alice/judge"},
            "sources": {"elder": {"model": "Big-8B", "reasoning": "native", "prompt": "none", "sampling": {}}},
        },
        "serve": {"vllm": "vllm serve models/x"},
        **changes,
    }


def make_folders(run: Run, **changes: Any) -> list[Path]:
    """Write the folder of every artefact of the run; `changes` are entries of the manifests."""
    folders = []
    for artefact in all_artefacts(run.store).values():
        folder = run.models / artefact.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(CONFIG))
        (folder / "model.safetensors").write_bytes(artefact.name.encode() * 100)
        write_manifest(folder, manifest_of(run, artefact.set_name, **changes))
        folders.append(folder)
    return folders


def front_matter_of(card: str) -> dict[str, Any]:
    """The front matter as the hub reads it."""
    from huggingface_hub import ModelCard

    stated: dict[str, Any] = vars(ModelCard(card).data)
    return {key: value for key, value in stated.items() if value is not None}
