"""No text of any pane is wider or higher than its place at 80×24, long names or short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.widget import Widget

from faq_tui.core.run.run import Run, open_run
from faq_tui.tui.pane import Pane, PaneSpec
from faq_tui.tui.panes.spikes.pane import SpikesPane
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import app_on, text_of, until
from tests.support.evidence_run import SETS, TOML, add_words, evidence_run
from tests.support.fitting import cut
from tests.support.judged_run import make_judged_run
from tests.support.pane_host import PaneHost
from tests.support.pane_runs import answer, bare_run, quantized_run, seed_ids
from tests.support.spikes_run import spiky_run

pytestmark = pytest.mark.slow

SIZES = [(80, 24), (120, 36), (200, 60)]
LONG = "elder_that_answers_in_great_detail"
LONG_EVIDENCE = TOML.replace("sources.elder", f"sources.{LONG}").replace(
    'perplexity = ["pydoc"]', 'perplexity = ["pydoc", "texts/collected/2026/november/of-many-authors.txt"]', 1
)


@contextmanager
def judged(folder: Path) -> Iterator[Run]:
    with open_run(make_judged_run(folder)) as run:
        yield run


@contextmanager
def regenerated(folder: Path) -> Iterator[Run]:
    with bare_run(folder) as run:
        for number in (1, 2, 3):
            answer(run, seed_ids(run)[0], number, "A long answer. " * 60, reasoning="Let me see. " * 200)
            answer(run, seed_ids(run)[1], number, flags=("truncated", "language") if number == 2 else ())
        yield run


@contextmanager
def quantized(folder: Path) -> Iterator[Run]:
    with bare_run(folder) as run:
        yield quantized_run(run, 48)


def spiky(folder: Path) -> AbstractContextManager[Run]:
    return spiky_run(folder)


@contextmanager
def evident(folder: Path) -> Iterator[Run]:
    with evidence_run(folder, model="Qwen/Qwen3-8B", entropies=True) as run:
        add_words(run)
        yield run


def evident_with_long_names(folder: Path) -> AbstractContextManager[Run]:
    sets = {name.replace("elder", LONG): kl for name, kl in SETS.items()}
    texts = ("pydoc", "texts/collected/2026/november/of-many-authors.txt", "answers", "choices:starter")
    return evidence_run(folder, sets=sets, toml=LONG_EVIDENCE, model="Qwen/Qwen3-8B", texts=texts)


CASES = {
    "seeds": (judged, "seeds", ["j", "v", "enter", "escape"]),
    "regenerate": (regenerated, "regenerate", ["l", "z", "z", "j"]),
    "judge": (judged, "judge", ["n", "l", "f", "b", "b", "1"]),
    "spikes": (spiky, "spikes", ["v", "v", "v", "v", "v", "b", "s"]),
    "quantize": (quantized, "quantize", ["j", "v", "v"]),
    "evidence": (
        evident,
        "evidence",
        ["G", "v", *"jjjj", "l", "a", "m", "v", "v", "enter", "j", "escape", "G", "enter", "escape", "v", "v", "p"],
    ),
    "evidence-long": (
        evident_with_long_names,
        "evidence",
        ["G", "v"] + ["j"] * 5 + ["l", "a", "v", "v", "b", "enter", "escape"],
    ),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("case", CASES)
async def test_a_pane_shows_nothing_wider_or_higher_than_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    made, name, keys = CASES[case]
    with made(tmp_path / "run"):
        pass
    app = app_on(tmp_path / "run")
    async with app.run_test(size=size) as pilot:
        app.show_pane(name)
        for key in ("", *keys):
            await pilot.press(*filter(None, [key]))
            await pilot.pause(0.05)
            await until(pilot, lambda: not _busy(app.pane))
            await pilot.pause()
            assert name == app.pane.SPEC.scope
            assert cut(app.pane) == [], f"after {key!r}:\n{text_of(app)}"


def _busy(pane: Any) -> bool:
    if isinstance(pane, SpikesPane):
        return pane.drawn != pane.view_state
    return bool(getattr(pane, "busy", False))


class Painted(Widget):
    def __init__(self, text: str, shortened: bool) -> None:
        super().__init__()
        self.text, self.shortened = text, shortened
        self.styles.width, self.styles.height = 10, 1

    def render_line(self, y: int) -> Any:
        from rich.segment import Segment
        from textual.strip import Strip

        strip = Strip([Segment(self.text)])
        return strip.adjust_cell_length(self.size.width) if self.shortened else strip


@pytest.mark.parametrize(
    ("widget", "fits"),
    [
        (lambda: Painted("short", True), True),
        (lambda: Painted("past its own edge", False), False),
        (lambda: Painted("loses its end", True), False),
        (lambda: LiteralText("four words that wrap", classes="place"), False),
        (lambda: LiteralText("as wide", classes="place"), True),
        (lambda: LiteralText("too wide for it", classes="place nowrap"), False),
    ],
)
async def test_a_cut_is_found(tmp_path: Path, widget: Any, fits: bool) -> None:
    with bare_run(tmp_path / "run", count=1) as run:

        class OnePane(Pane):
            SPEC = PaneSpec("one", "One", 1, "Show the one pane.", "", ())
            DEFAULT_CSS = ".place { width: 10; height: 1; } .nowrap { text-wrap: nowrap; text-overflow: ellipsis; }"

            def compose(self) -> Any:
                yield widget()
                focused = LiteralText("")
                focused.can_focus = True
                yield focused

        pane = OnePane(run)
        async with PaneHost(pane).run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert (cut(pane) == []) == fits
