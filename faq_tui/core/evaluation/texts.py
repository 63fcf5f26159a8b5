"""Held-out prose by the name it has in `[evaluate]`."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from faq_tui.core.errors import FaqError, UsageError
from faq_tui.core.evaluation.pydoc_prose import pydoc_prose
from faq_tui.core.evaluation.reading import STARTER
from faq_tui.core.run import Run

PYDOC, WIKITEXT2 = "pydoc", "wikitext2"
BYTES_A_TOKEN = 64  # far more than any tokenizer needs on the average: a text's head of this size is enough


def load_head(run: Run, name: str) -> str:
    """As much of a text of `evaluate.perplexity` as `evaluate.prose_tokens` can take. Raises as `load_text` does."""
    return load_text(run, name, "evaluate.perplexity", run.settings.evaluate.prose_tokens * BYTES_A_TOKEN)


def load_text(run: Run, name: str, key: str, limit: int | None = None) -> str:
    """A held-out text, or its first `limit` bytes of a file, else characters. `key` names the setting in errors.

    Raises UsageError for a file that is missing, empty or not UTF-8, FaqError if `datasets` cannot fetch one.
    """
    if name == PYDOC:
        return pydoc_prose()[:limit]
    if name == WIKITEXT2:
        return _wikitext2(key)[:limit]
    return _file(run.resolve(name), limit, key)


def state(run: Run, name: str) -> Any:
    """What changes when the text does, without reading it."""
    if name == PYDOC:
        return platform.python_version()
    if name in (WIKITEXT2, STARTER):
        return None
    path = run.resolve(name)
    return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None


def _wikitext2(key: str) -> str:
    from datasets import load_dataset

    try:
        rows = load_dataset("Salesforce/wikitext", "wikitext-2-raw-v1", split="test")
        return "\n\n".join(rows["text"])
    except Exception as error:  # noqa: BLE001  hub client, network and parser errors alike
        reason = " ".join(str(error).split())[:200]
        raise FaqError(
            f"wikitext2 could not be fetched with `datasets` ({reason}): check the network, or use "
            f'"pydoc" or a text file in {key}'
        ) from None


def _file(path: Path, limit: int | None, key: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(limit)
            whole = not file.read(1)
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f'no text file at {path}: {key} takes "{PYDOC}", "{WIKITEXT2}" or a file') from None
    except OSError as error:
        raise UsageError(f"cannot read {path} of {key}: {error.strerror}") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if whole or error.reason != "unexpected end of data":
            raise UsageError(f"{path} of {key} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
        text = data[: error.start].decode("utf-8")  # a character cut by the limit
    if not text.strip():
        raise UsageError(f"{path} of {key} is empty: name a text with prose in it")
    return text.removeprefix("\ufeff")
