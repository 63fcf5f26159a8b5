"""Load a tokenizer, and list the target's special tokens. Code in the model's folder runs only if it is trusted."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from faq_tui.core.base import torch_free
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.chat import dialects
from faq_tui.core.models.model_code import without_code
from faq_tui.core.models.model_files import ModelFiles
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED


def tokenizer_of(model: str | Path, trusted: bool) -> Any:
    """The tokenizer of a local folder or of a hub id. transformers downloads the files of a hub id.

    Raises the errors of transformers.
    """
    folder = Path(model)
    # trusted code of a model's folder may need torch
    light = torch_free.hidden_torch() if torch_free.is_declared() and not trusted else nullcontext()
    with light, without_code(folder, trusted) if folder.is_dir() else nullcontext(model) as safe:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(safe, trust_remote_code=trusted)


def load_tokenizer(target: TargetModel, key: str = "target.model") -> Any:
    """The model's fast tokenizer.

    Raises UsageError if the tokenizer cannot be loaded, is not fast, or has no chat template.

    `key` is the setting that names the model.
    """
    try:
        tokenizer = tokenizer_of(target.path, target.trust_remote_code)
    except Exception as error:  # noqa: BLE001  the hub client, files and parsers raise many kinds of errors
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"no tokenizer could be loaded from {key} {target.name}: {reason}") from None
    if not tokenizer.chat_template:
        raise UsageError(
            f"{key} {target.name} has no chat template: give its chat or instruct version, "
            "or put a chat_template.jinja into its folder"
        )
    if isinstance(tokenizer.chat_template, dict) and "default" not in tokenizer.chat_template:
        names = ", ".join(sorted(map(str, tokenizer.chat_template)))
        raise UsageError(
            f"{key} {target.name} has only the chat templates {names}, and none with the name default: "
            "put the one to use into its folder as chat_template.jinja"
        )
    if not tokenizer.is_fast:
        raise UsageError(f"{key} {target.name} has no fast tokenizer (tokenizer.json): convert its tokenizer first")
    return tokenizer


# Only the first HEAD characters of tokenizer.json are read. These characters contain the added tokens, which
# precede the vocabulary. The vocabulary may take 100 MB.
HEAD = 4 << 20
_ADDED = re.compile(r'"added_tokens"\s*:\s*')


def special_tokens(run: Run) -> frozenset[str]:
    """The target's special tokens, and its added tokens that mark reasoning or have angle brackets.

    The added tokens that mark reasoning (for example <think>) are not always marked as special. The set is empty if
    the target's files are not on this machine or list no such tokens.
    """
    return frozenset(text for entry in _entries(_files(run, run.settings.target.model)) if (text := _special(entry)))


def control_tokens(run: Run, name: str) -> frozenset[str]:
    """The special tokens of the model `name`, except tags that an ordinary text may quote.

    The files are read from a folder or from the hub's cache. The set is empty if the files are not on this machine.
    """
    quotable = {tag for dialect in dialects.tag_dialects() if dialect.quotable for tag in dialect.tags}
    special = (str(entry.get("content")) for entry in _entries(_files(run, name)) if entry.get("special"))
    return frozenset(token for token in special if token.strip()) - quotable


def _entries(files: ModelFiles | None) -> list[dict[str, Any]]:
    """The added tokens in a model's files."""
    if files is None:
        return []
    decoder = _json(_read(files.paths.get("tokenizer_config.json"))).get("added_tokens_decoder")
    added = list(decoder.values()) if isinstance(decoder, dict) else _added(_read(files.paths.get("tokenizer.json")))
    return [entry for entry in added if isinstance(entry, dict)]


def _special(entry: dict[str, Any]) -> str:
    """The text of an added token that the screen highlights; "" for other tokens."""
    text = entry.get("content")
    if not isinstance(text, str) or not text.strip():
        return ""
    bracketed = text[0] == "<" and text[-1] == ">"
    return text if entry.get("special") or bracketed or text in dialects.special_tokens() else ""


def _files(run: Run, name: str) -> ModelFiles | None:
    try:
        if name == EMBEDDED:
            from faq_tui.core.embedded import cached_model

            model = cached_model()
            return ModelFiles.of_folder(model.folder) if model else None
        folder = run.resolve(name)
        return ModelFiles.of_folder(folder) if folder.is_dir() else ModelFiles.cached(name)
    except (FaqError, OSError, RuntimeError, ValueError):  # the name is not a valid path
        return None


def _added(text: str) -> list[Any]:
    start = _ADDED.search(text)
    if start is None:
        return []
    try:
        entries, _end = json.JSONDecoder().raw_decode(text, start.end())
    except (ValueError, RecursionError):
        return []
    return entries if isinstance(entries, list) else []


def _json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _read(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(HEAD)
    except OSError:
        return ""
