"""Choose the theme for the terminal, and list the available themes."""

from __future__ import annotations

from collections.abc import Mapping

from rich.terminal_theme import TerminalTheme
from textual._ansi_theme import MONOKAI
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES

RICH, FEW = "textual-dark", "ansi-dark"
# The theme's variables for the colours that the panes name: red, green, yellow, blue, magenta and cyan.
ROLES = ("text-error", "text-success", "text-warning", "text-primary", "text-accent", "text-secondary")
CONTRAST = (
    4.0  # minimum contrast of a text on the backgrounds of the panes (WCAG 2 asks for 4.5, and 3 for large text)
)
BACKGROUNDS = ("background", "surface", "panel")


def theme_names() -> list[str]:
    return sorted(BUILTIN_THEMES)


def suited_theme(environ: Mapping[str, str]) -> str:
    """Use the 16 ANSI colours if the terminal does not announce 24-bit colour.

    SSH usually loses `COLORTERM`. A 24-bit theme reduced to 256 or 16 colours can show black text on black.
    """
    if "NO_COLOR" in environ or environ.get("COLORTERM", "").lower() not in ("truecolor", "24bit"):
        return FEW
    return RICH


def named_colours(theme: str, variables: Mapping[str, str]) -> TerminalTheme:
    """The colours for names such as `red` in the texts of the panes, taken from the theme's roles.

    A colour that is hard to read on a background of the theme is mixed with the theme's text colour. `variables` are
    the variables of the theme. The default theme, and themes in the terminal's own colours, keep Textual's colours.
    """
    try:
        text = Color.parse(variables["foreground"])
        backgrounds = [Color.parse(variables[name]) for name in BACKGROUNDS]
        roles = [Color.parse(variables[name]) for name in ROLES]
    except (KeyError, ColorParseError):
        return MONOKAI
    if theme == RICH or any(colour.ansi is not None for colour in (text, *roles)):
        return MONOKAI
    red, green, yellow, blue, magenta, cyan = (_readable(colour, text, backgrounds).rgb for colour in roles)
    paper, ink = backgrounds[0].rgb, text.rgb
    eight = [paper, red, green, yellow, blue, magenta, cyan, ink]
    return TerminalTheme(paper, ink, eight, eight)


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of two colours as WCAG 2 defines it, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _readable(colour: Color, text: Color, backgrounds: list[Color]) -> Color:
    for tenths in range(11):
        mixed = colour.blend(text, tenths / 10)
        if min(contrast(mixed, background) for background in backgrounds) >= CONTRAST:
            return mixed
    return text
