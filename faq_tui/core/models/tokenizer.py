"""A tokenizer, loaded from a folder without code unless that is trusted."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.model_code import without_code
from faq_tui.core.models.target import TargetModel


def tokenizer_of(model: str | Path, trusted: bool) -> Any:
    """The tokenizer of a local folder, or of a hub id, of which transformers fetches what it needs.

    Raises what transformers raises.
    """
    from transformers import AutoTokenizer

    folder = Path(model)
    with without_code(folder, trusted) if folder.is_dir() else nullcontext(model) as place:
        return AutoTokenizer.from_pretrained(place, trust_remote_code=trusted)


def load_tokenizer(target: TargetModel) -> Any:
    """The target's fast tokenizer. UsageError if it cannot be loaded, is not fast, or has no chat template."""
    try:
        tokenizer = tokenizer_of(target.path, target.trust_remote_code)
    except Exception as error:  # noqa: BLE001  hub client, file and parser errors alike
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"no tokenizer could be loaded from target.model {target.name}: {reason}") from None
    if not tokenizer.chat_template:
        raise UsageError(
            f"target.model {target.name} has no chat template: name its chat or instruct version, "
            "or put a chat_template.jinja into its folder"
        )
    if not tokenizer.is_fast:
        raise UsageError(f"target.model {target.name} has no fast tokenizer (tokenizer.json): convert it first")
    return tokenizer
