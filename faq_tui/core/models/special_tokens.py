"""The special tokens of a target, read from its tokenizer files as data; no tokenizer is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.chat import dialects
from faq_tui.core.models.model_files import ModelFiles
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED

HEAD = 4 << 20  # characters of tokenizer.json: added tokens stand before the vocabulary, which may have 100 MB
_ADDED = re.compile(r'"added_tokens"\s*:\s*')


def special_tokens(run: Run) -> frozenset[str]:
    """The target's special tokens, and added ones around reasoning or in angle brackets.

    Those are not always marked as special (<think>). Empty where the files are not on this machine or list none.
    """
    files = _files(run)
    if files is None:
        return frozenset()
    decoder = _json(_read(files.paths.get("tokenizer_config.json"))).get("added_tokens_decoder")
    if isinstance(decoder, dict):
        entries = list(decoder.values())
    else:
        entries = _added(_read(files.paths.get("tokenizer.json")))
    return frozenset(text for entry in entries if isinstance(entry, dict) and (text := _special(entry)))


def _special(entry: dict[str, Any]) -> str:
    """The text of an added token that stands out on the screen; "" for others."""
    text = entry.get("content")
    if not isinstance(text, str) or not text.strip():
        return ""
    bracketed = text[0] == "<" and text[-1] == ">"
    return text if entry.get("special") or bracketed or text in dialects.special_tokens() else ""


def _files(run: Run) -> ModelFiles | None:
    name = run.settings.target.model
    try:
        if name == EMBEDDED:
            from faq_tui.core.embedded import cached_model

            model = cached_model()
            return ModelFiles.of_folder(model.folder) if model else None
        folder = run.resolve(name)
        return ModelFiles.of_folder(folder) if folder.is_dir() else ModelFiles.cached(name)
    except (FaqError, OSError):
        return None


def _added(text: str) -> list[Any]:
    start = _ADDED.search(text)
    if start is None:
        return []
    try:
        found, _end = json.JSONDecoder().raw_decode(text, start.end())
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(HEAD)
    except OSError:
        return ""
