"""Choose the theme for the terminal, and list the available themes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from rich.color import Color as RichColor
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual._ansi_theme import MONOKAI
from textual.color import Color, ColorParseError
from textual.filter import LineFilter
from textual.theme import BUILTIN_THEMES

RICH, FEW = "textual-dark", "ansi-dark"
# The theme's variables for the colours that the panes name: red, green, yellow, blue, magenta and cyan.
ROLES = ("text-error", "text-success", "text-warning", "text-primary", "text-accent", "text-secondary")
CONTRAST = 4.5  # minimum contrast of a text and its background (WCAG 2, level AA)
STEPS = 20
# Text with a letter or digit of any script needs the minimum contrast; lines, blocks, bars and points of plots need
# not have it.
WORDS = re.compile(r"\w")
BLACK, WHITE = Color(0, 0, 0), Color(255, 255, 255)
BACKGROUNDS = ("background", "surface", "panel")


def theme_names() -> list[str]:
    return sorted(BUILTIN_THEMES)


def suited_theme(environ: Mapping[str, str]) -> str:
    """The theme for the terminal: 16 ANSI colours if the terminal does not announce 24-bit colour.

    SSH usually loses `COLORTERM`. A 24-bit theme reduced to 256 or 16 colours can show black text on black.
    """
    if "NO_COLOR" in environ or environ.get("COLORTERM", "").lower() not in ("truecolor", "24bit"):
        return FEW
    return RICH


def named_colours(variables: Mapping[str, str]) -> TerminalTheme:
    """The colours for names such as `red` in the texts of the panes, taken from the theme's roles.

    A colour that is hard to read on a background of the theme is mixed with the theme's text colour. `variables` are
    the variables of the theme. For themes that use the terminal's own colours, the result is Textual's usual colours.
    """
    try:
        text = Color.parse(variables["foreground"])
        backgrounds = [Color.parse(variables[name]) for name in BACKGROUNDS]
        roles = [Color.parse(variables[name]) for name in ROLES]
    except (KeyError, ColorParseError):
        return MONOKAI
    if any(colour.ansi is not None for colour in (text, *roles)):
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


class ReadableText(LineFilter):
    """Moves the colour of text towards black or white until the text can be read on its background.

    In some of Textual's themes, plain text has a contrast of 3.5. In other themes, dim text, titles and the widgets
    of Textual would be hard to read.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [self._readable(segment, background) for segment in segments]

    @staticmethod
    def _readable(segment: Segment, background: Color) -> Segment:
        text, style, control = segment
        if style is None or style.color is None or (colour := style.color.triplet) is None:
            return segment  # a colour of the terminal's own palette has an unknown contrast
        behind = style.bgcolor.triplet if style.bgcolor is not None else None
        better = _better(colour, behind or ColorTriplet(*background.rgb))
        if better is None or not WORDS.search(text):
            return segment
        return Segment(text, style + better, control)


@lru_cache(4096)
def _better(colour: ColorTriplet, background: ColorTriplet) -> Style | None:
    """The style with a readable colour instead of `colour`; None if `colour` is readable."""
    found = readable_colour(Color(*colour), Color(*background))
    return None if found.rgb == colour else Style(color=RichColor.from_rgb(*found.rgb))


def readable_colour(colour: Color, background: Color) -> Color:
    """Mix `colour` with as little black or white as possible, so that it can be read on `background`."""
    for step in range(STEPS + 1):
        for end in (BLACK, WHITE):
            mixed = colour.blend(end, step / STEPS)
            if contrast(mixed, background) >= CONTRAST:
                return mixed
    raise AssertionError("black or white has a contrast of at least 4.58 on every colour")
