"""What a folder saved by gptqmodel still lacks: the target's own side files, and no trace of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

# The target's own, byte for byte: gptqmodel writes its tokenizer anew, pad token and all.
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


def finish_folder(out: Path, target: Path) -> None:
    """Copy the side files of `target` into `out` and drop the local offload path from the configs."""
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
