"""Read and write the YAML at the beginning of a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 16  # a longer front matter is not read
FENCE = "---"


def read_front_matter(card: Path) -> dict[str, Any]:
    """The front matter of a card; empty if there is none, or if it cannot be read.

    The card may come from anyone. Therefore only the beginning of the file is read, by YAML's basic loader: it makes
    only texts, lists and dicts, and no merge keys, which can make a short text huge. `no`, the code of Norwegian,
    stays a text.
    """
    import yaml

    try:
        with card.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return {}
    first, _, rest = text.lstrip("\ufeff").replace("\r\n", "\n").partition("\n")
    block, end, _ = f"\n{rest}".partition(f"\n{FENCE}")
    if first.rstrip() != FENCE or not end:
        return {}
    try:
        body = yaml.load(block, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def front_matter_of_model(values: dict[str, Any]) -> str:
    """The front matter of a model card, written by the hub's own library. Keys with the value None are left out."""
    from huggingface_hub import ModelCardData

    return f"{FENCE}\n{ModelCardData(**values).to_yaml()}\n{FENCE}\n"


def front_matter_of_dataset(values: dict[str, Any]) -> str:
    """The same for the card of a data set."""
    from huggingface_hub import DatasetCardData

    return f"{FENCE}\n{DatasetCardData(**values).to_yaml()}\n{FENCE}\n"
