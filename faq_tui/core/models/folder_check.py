"""Check whether the files in a folder are a model that can be loaded.

The check reads only the headers of the weights files, not the weights.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.headers import is_pointer, tensors_of

ADAPTER = "adapter_config.json"
# In the architectures of transformers, the weights of the token embedding have one of these names.
_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|(?:backbone|model)\.embeddings?)\.weight$"
)
# A tensor whose name matches this pattern is in a layer, or in a vision or audio part, so it is not the token
# embedding.
_ELSEWHERE = re.compile(r"\.\d+\.|(?:^|\.)(?:vision|visual|audio|encoder|mtp)")
FETCH = "fetch the model again"


def no_model_in(folder: Path) -> str:
    """The end of an error sentence about a folder without config.json.

    The text says what the folder holds, and which folder the user should name.
    """
    names = _names(folder)
    if ADAPTER in names:
        base = _base_of_adapter(folder)
        return f"holds only an adapter{base}: merge it into its base model, and give the folder of the merged model"
    if any(name.endswith(".gguf") for name in names):
        return "holds no config.json, only GGUF files: give the folder of the original model with safetensors files"
    if "model_index.json" in names:
        return "holds no config.json, but a pipeline of image models: give a model that generates text"
    if "params.json" in names or any(name.endswith(".pth") for name in names):
        return "holds no config.json, but weights in their publisher's format: give the Hugging Face version"
    inner = next((name for name in names if (folder / name / "config.json").is_file()), None)
    if inner is not None:
        return f"holds no config.json, but its subfolder {inner} does: give {folder / inner} instead"
    return "holds no config.json: give a Hugging Face model folder"


def check_folder(key: str, folder: Path, weights: bool = True) -> None:
    """Raise UsageError if `folder` has no model that can be loaded. `key` is the setting that names the folder.

    The function reads config.json, and detects tokenizer files that are only pointers of Git LFS. If `weights` is
    true, the function also reads the headers of the weights. The messages name the folder.
    """
    if not (folder / "config.json").is_file():
        raise UsageError(f"{key} {folder} {no_model_in(folder)}")
    read_config(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "chat_template.jinja"):
        if is_pointer(folder / name):
            raise UsageError(f"{folder / name} is only a pointer of Git LFS: run `git lfs pull` there")
    if not weights:
        return
    names = _names(folder)
    if ADAPTER in names and not any(name.startswith("model") and name.endswith(".safetensors") for name in names):
        raise UsageError(f"{key} {folder} {no_model_in(folder)}")
    if any(name.endswith(".gguf") for name in names) and not any(name.endswith(".safetensors") for name in names):
        raise UsageError(f"{key} {folder} has its weights only as GGUF: give the folder with safetensors files")
    embedding_rows(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """The object in config.json.

    Raises UsageError if the file cannot be read, or if its entry `architectures` is not a list of names.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{path} cannot be read ({reason}): give a Hugging Face model folder") from error
    if not isinstance(config, dict):
        raise UsageError(f"{path} cannot be read (it is not a JSON object): give a Hugging Face model folder")
    names = config.get("architectures")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UsageError(f"architectures in {path} is not a list of names: {FETCH}")
    return config


def embedding_rows(folder: Path) -> int | None:
    """The number of rows in the model's table of embeddings.

    Each token id has one row. The result is None if the number is unknown.

    Raises UsageError if the weights cannot be read, or if config.json gives another number.
    """
    tensors = tensors_of(folder)
    tables = [name for name, (_, shape, _) in tensors.items() if _is_table(name, shape)]
    given = _vocab_size(read_config(folder))
    if not tables:
        return given
    rows = tensors[min(tables, key=lambda name: (name.count("."), name))][1][0]
    if given is not None and given != rows:
        raise UsageError(
            f"{folder / 'config.json'} gives vocab_size {given}, but the embedding of the weights has {rows} rows: "
            f"{FETCH}, or correct vocab_size"
        )
    return rows


def _is_table(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and bool(_EMBEDDING.search(name)) and not _ELSEWHERE.search(name)


def _vocab_size(config: dict[str, Any]) -> int | None:
    text = config.get("text_config")
    size = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    return size if type(size) is int and size > 0 else None


def _base_of_adapter(folder: Path) -> str:
    try:
        base = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return ""
    return f" of {base}" if isinstance(base, str) and base else ""


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
