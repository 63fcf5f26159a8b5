"""The config file: keys, theme, low bandwidth; a slip is one sentence with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.tui.config import Config, config_path, load_config
from faq_tui.tui.themes import suited_theme
from tests.support.app_host import app_on, text_of


def written(text: str) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_no_file_is_no_trouble(tmp_path: Path) -> None:
    assert load_config(tmp_path / "none.toml") == Config()


def test_what_it_may_say() -> None:
    path = written('theme = "ansi-dark"\nlow_bandwidth = true\n[keys]\n"app.help" = "?,f1"\n"app.start" = "ctrl+r"\n')
    assert load_config(path) == Config({"app.help": "question_mark,f1", "app.start": "ctrl+r"}, "ansi-dark", True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[keys]\n"app.strat" = "a"', 'no action "app.strat"; did you mean "app.start"?'),
        ('[key]\n"app.start" = "a"', 'no setting "key"; did you mean "keys"?'),
        ('theme = "ansi-drak"', 'no theme "ansi-drak"; did you mean "ansi-dark"?'),
        ('[keys]\n"app.start" = "pagdown"', 'app.start has no key "pagdown"; did you mean "pagedown"?'),
        ('[keys]\n"app.start" = "q"', "q would start both app.start and app.quit"),
        ('[keys]\n"app.start" = 3', 'the keys of app.start must be text, as in "app.start" = "a" or "a,ctrl+a"'),
        ('low_bandwidth = "yes"', "low_bandwidth must be true or false"),
        ("theme = ", "cannot be read: "),
        pytest.param(f"theme = {'9' * 5000}", "cannot be read: ", id="too long a number"),
        pytest.param(f"theme = {'[' * 5000}", "cannot be read: ", id="nested too deeply"),
        ('"\\u001b]52;c;x" = 1', 'no setting "\ufffd]52;c;x"'),
    ],
)
def test_a_slip_is_one_sentence(text: str, sentence: str) -> None:
    path = written(text)
    with pytest.raises(UsageError) as error:
        load_config(path)
    assert str(error.value).startswith(str(path)) and sentence in str(error.value)
    assert "\n" not in str(error.value).replace("\n[keys]\n", "") and "\x1b" not in str(error.value)


async def test_a_key_of_the_config_works_and_is_shown(folder: Path) -> None:
    app = app_on(folder, Config({"app.show_quantize": "Z", "app.help": "f1", "app.quit": "ctrl+x"}))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        assert app.pane.SPEC.scope == "seeds", "the old key does nothing"
        await pilot.press("Z")
        assert app.pane.SPEC.scope == "quantize"
        lines = text_of(app).splitlines()
        assert "Z Quantize" in lines[1] and "f1 more" in lines[-1] and "ctrl+x Quit" in lines[-1]
        await pilot.press("f1")
        assert "ctrl+x" in text_of(app) or app.screen.query_one("#dialog").max_scroll_y > 0


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"COLORTERM": "truecolor", "TERM": "xterm-256color"}, "textual-dark"),
        ({"COLORTERM": "24bit"}, "textual-dark"),
        ({"TERM": "xterm-256color"}, "ansi-dark"),
        ({"TERM": "screen"}, "ansi-dark"),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, "ansi-dark"),
    ],
)
def test_the_theme_suits_the_terminal(environ: dict[str, str], theme: str) -> None:
    assert suited_theme(environ) == theme


async def test_no_color_has_no_colour_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_on(folder, Config(theme="textual-light"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        colours = {
            str(colour)
            for strip in app.screen._compositor.render_strips()
            for segment in strip.apply_filter(app._filters[-1], app.screen.background_colors[1])._segments
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None and not colour.is_default
        }
        assert colours == set()


async def test_low_bandwidth_draws_seldom_and_animates_nothing(folder: Path) -> None:
    app = app_on(folder, Config(low_bandwidth=True))
    async with app.run_test(size=(80, 24)):
        assert app.animation_level == "none"
        assert app.hz == 2
    assert app_on(folder).hz == 10


def test_notices_and_title_can_be_turned_off(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("notices = false\ntitle = false\n")
    assert load_config(path) == Config(notices=False, title=False)
    path.write_text('notices = "no"\n')
    with pytest.raises(UsageError, match="notices must be true or false"):
        load_config(path)
