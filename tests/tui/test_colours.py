"""No more colours than the terminal has: what the app sends, on a real pty, in every pane."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.on_terminal import OnTerminal
from tests.support.pane_runs import answer, bare_run, quantized_run, seed_ids
from tests.support.shell import FAQ_TUI
from tests.support.spikes_run import spiky_run

pytestmark = pytest.mark.slow

RGB, INDEXED = "rgb", "indexed"  # 38;2;…, 38;5;…
PANES = {"2": "candidates", "3": "seed 1 of", "5": "loss per token"}  # key, and what is then on the screen


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with bare_run(tmp_path / "coloured", count=6) as opened:
        for seed_id in seed_ids(opened)[:3]:
            answer(opened, seed_id, 1, flags=("truncated",))
        quantized_run(opened)
        return opened.folder


def colours(got: bytes) -> set[str]:
    """Kinds of colours in the SGR sequences: rgb, indexed, and the 16 by name: `bright` or `plain`."""
    kinds = set()
    for sequence in re.findall(rb"\x1b\[([0-9;]*)m", got):
        codes = [int(code or 0) for code in sequence.split(b";")]
        while codes:
            code = codes.pop(0)
            if code in (38, 48):
                kinds.add(RGB if codes[0] == 2 else INDEXED)
                del codes[: 4 if codes[0] == 2 else 2]
            elif 30 <= code <= 37 or 40 <= code <= 47:
                kinds.add("plain")
            elif 90 <= code <= 97 or 100 <= code <= 107:
                kinds.add("bright")
    return kinds


@pytest.mark.parametrize("theme", ["", 'theme = "textual-dark"\n'])
@pytest.mark.parametrize(
    ("terminal", "sent", "never"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, {RGB}, set()),
        ({"TERM": "xterm-256color", "COLORTERM": ""}, {INDEXED}, {RGB}),
        ({"TERM": "xterm", "COLORTERM": ""}, {"plain", "bright"}, {RGB, INDEXED}),
        (
            {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"},
            set(),
            {RGB, INDEXED, "plain", "bright"},
        ),
    ],
    ids=["24 bits", "256", "16", "NO_COLOR"],
)
def test_colours_are_those_of_the_terminal(
    run: Path, tmp_path: Path, terminal: dict[str, str], sent: set[str], never: set[str], theme: str
) -> None:
    config = tmp_path / "home/config/faq-tui/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(theme)
    shown = OnTerminal(*FAQ_TUI, run, **terminal)
    try:
        shown.wait_to_see("question")
        for key, words in PANES.items():
            shown.press(key.encode())
            shown.wait_to_see(words)
            if key == "3":
                shown.press(b"]")  # its own keys are the digits: go on by another
        # The parts of a pane are drawn one after the other.
        shown.wait_until(lambda seen: any("▸" in line for line in seen), when="the chosen row is told by a sign too")
        shown.wait_until(lambda _seen: sent <= colours(shown.got), when=f"no {sent}")
    finally:
        shown.kill()
    assert not colours(shown.got) & never


@pytest.mark.parametrize(
    ("terminal", "mark", "never"),
    [
        ({"COLORTERM": "truecolor"}, "▀", set()),
        ({"COLORTERM": ""}, "▀", {RGB}),
        ({"TERM": "xterm", "COLORTERM": ""}, "▓", {RGB, INDEXED}),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, "▓", {RGB, INDEXED, "plain", "bright"}),
    ],
    ids=["24 bits", "256", "16", "NO_COLOR"],
)
def test_the_map_of_spikes(tmp_path: Path, terminal: dict[str, str], mark: str, never: set[str]) -> None:
    """The map has pixels if the terminal has enough colours, and shades otherwise."""
    with spiky_run(tmp_path / "run") as opened:
        folder = opened.folder
    shown = OnTerminal(*FAQ_TUI, folder, **terminal)
    try:
        shown.wait_to_see("1 Seeds")
        shown.press(b"4")
        shown.wait_to_see("elder: highest", f"|x| 0 {'▀' if mark == '▀' else ' '}", mark * 3)
    finally:
        shown.kill()
    assert not colours(shown.got) & never
