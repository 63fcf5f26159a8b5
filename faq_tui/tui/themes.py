"""Colours: which theme suits the terminal, and which are offered."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import BUILTIN_THEMES

RICH, FEW = "textual-dark", "ansi-dark"


def theme_names() -> list[str]:
    return sorted(BUILTIN_THEMES)


def suited_theme(environ: Mapping[str, str]) -> str:
    """The terminal's own 16 colours where it does not promise all of them.

    Over SSH `COLORTERM` is mostly lost; themes in 24 bits, squeezed into 256 or 16 colours, turn black on black.
    """
    if "NO_COLOR" in environ or environ.get("COLORTERM", "").lower() not in ("truecolor", "24bit"):
        return FEW
    return RICH
