"""A tokenizer, loaded from a folder without code unless that is trusted."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from faq_tui.core.models.code import without_code


def tokenizer_of(model: str | Path, trusted: bool) -> Any:
    """The tokenizer of a local folder, or of a hub id, of which transformers fetches what it needs.

    Raises what transformers raises.
    """
    from transformers import AutoTokenizer

    folder = Path(model)
    with without_code(folder, trusted) if folder.is_dir() else nullcontext(model) as place:
        return AutoTokenizer.from_pretrained(place, trust_remote_code=trusted)
