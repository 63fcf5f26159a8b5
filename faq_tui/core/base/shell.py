"""Write commands that a person can paste into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def command_line(*words: str | Path) -> str:
    """The command `faq-tui` with these arguments. An argument with spaces or other special characters is quoted."""
    return shlex.join(["faq-tui", *map(str, words)])
