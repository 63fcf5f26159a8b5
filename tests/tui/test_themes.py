"""Named colours are those of the theme, and can be read on its backgrounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.segment import Segment
from rich.style import Style
from textual._ansi_theme import MONOKAI
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from faq_tui.tui.config import Config
from faq_tui.tui.themes import CONTRAST, ReadableText, contrast, named_colours, readable_colour
from tests.support.app_host import app_on, until


def test_contrast_of_known_pairs() -> None:
    assert contrast(Color.parse("black"), Color.parse("white")) == pytest.approx(21)
    assert contrast(Color.parse("#777"), Color.parse("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", sorted(BUILTIN_THEMES))
def test_named_colours_can_be_read(name: str) -> None:
    variables = BUILTIN_THEMES[name].to_color_system().generate()
    theme = named_colours(variables)
    if theme is MONOKAI:
        assert "ansi" in name
        return
    for number in range(1, 7):
        colour = Color(*theme.ansi_colors[number])
        for background in ("background", "surface", "panel"):
            found = contrast(colour, Color.parse(variables[background]))
            text = contrast(Color.parse(variables["foreground"]), Color.parse(variables[background]))
            assert found >= min(CONTRAST, text) - 0.1, (number, background, found)


async def test_another_theme_changes_the_named_colours(folder: Path) -> None:
    app = app_on(folder, Config(theme="ansi-dark"))
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.ansi_theme is MONOKAI
        app.theme = "textual-light"
        await until(pilot, lambda: app.ansi_theme is not MONOKAI)
        app.theme = "ansi-dark"
        await until(pilot, lambda: app.ansi_theme is MONOKAI)


def test_text_becomes_readable_and_nothing_else_changes() -> None:
    behind = Color.parse("#808080")
    dark, light, red = Color.parse("#777777"), Color.parse("#909090"), Color.parse("#c04040")
    for colour in (dark, light, red, behind):
        assert contrast(readable_colour(colour, behind), behind) >= CONTRAST
    clear = Color.parse("#000000")
    assert readable_colour(clear, behind) == clear
    style = Style.parse("bold #777777 on #808080")
    segments = [Segment("word 1", style), Segment("━━╸", style), Segment("   ", style), Segment("word")]
    word, *others = ReadableText().apply(segments, behind)
    assert word.style is not None and word.style.bold and word.style.color != style.color
    assert word.style.bgcolor == style.bgcolor and word.text == "word 1"
    assert others == segments[1:], "lines of a plot keep their colours"
    named = Segment("word", Style.parse("red on black"))
    assert ReadableText().apply([named], behind) == [named], "these colours are the terminal's own"
