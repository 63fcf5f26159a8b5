"""Copying through the terminal: OSC 52 reaches the person's own clipboard, even over SSH, but never answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_cache_path


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
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
