"""Copying through the terminal: OSC 52 reaches the person's own clipboard, even over SSH, but never answers."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_cache_path

LIMIT = 74_994  # bytes of text that the strictest terminals (xterm's 100,000 in base64) take


def osc52(text: str, environ: Mapping[str, str]) -> str:
    """The escape sequence, wrapped for tmux if `$TMUX` says that one lies between."""
    sequence = f"\x1b]52;c;{base64.b64encode(text.encode(errors='replace')).decode()}\x07"
    if environ.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return sequence


def copy_file() -> Path:
    return user_cache_path("faq-tui") / "copied.txt"


def save(text: str, path: Path) -> None:
    """Readable by this user alone: the text may be anything. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", errors="replace") as file:  # noqa: E501
        file.write(text)
