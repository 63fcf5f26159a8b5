"""Choose the theme for the terminal, and list the available themes."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import BUILTIN_THEMES

RICH, FEW = "textual-dark", "ansi-dark"


def theme_names() -> list[str]:
    return sorted(BUILTIN_THEMES)


def suited_theme(environ: Mapping[str, str]) -> str:
    """Use the 16 ANSI colours if the terminal does not announce 24-bit colour.

    SSH usually loses `COLORTERM`. A 24-bit theme reduced to 256 or 16 colours can show black text on black.
    """
    if "NO_COLOR" in environ or environ.get("COLORTERM", "").lower() not in ("truecolor", "24bit"):
        return FEW
    return RICH
