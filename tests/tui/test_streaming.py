"""What a tick costs while text streams in: counted in layouts of the screen and bytes to the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual._compositor import CompositorUpdate
from textual.screen import Screen

from faq_tui.core.run.events import CandidateDelta, CandidateStarted, StageStarted, to_json
from faq_tui.tui.app import FaqApp
from faq_tui.tui.player import Player, recording
from faq_tui.tui.widgets.flow import FlowView
from tests.support.app_host import app_on, text_of, until
from tests.support.pane_runs import bare_run, seed_ids

TOKENS_PER_S, CHARACTERS = 100, 5  # of each stream
HZ, SECONDS, WARM_UP = 10, 12, 4
BEGIN = 1_800_000_000.0  # unix seconds
BYTES_PER_S = 30_000
SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids="{0[0]}x{0[1]}".format)


class Counting:
    """Layouts of the screen, and what a terminal would have got."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layouts = self.bytes = 0
        lay_out, display = Screen._refresh_layout, FaqApp._display

        def counted(screen: Screen[Any], *args: Any, **named: Any) -> None:
            self.layouts += 1
            lay_out(screen, *args, **named)

        def written(shown: FaqApp, screen: Screen[Any], update: Any) -> None:
            if isinstance(update, CompositorUpdate):
                self.bytes += len(update.render_segments(shown.console).encode())
            display(shown, screen, update)

        monkeypatch.setattr(Screen, "_refresh_layout", counted)
        monkeypatch.setattr(FaqApp, "_display", written)

    def begin(self) -> None:
        self.layouts = self.bytes = 0


@pytest.fixture
def streaming(tmp_path: Path) -> Path:
    """A recording of 64 streams, all begun at once and none finished."""
    with bare_run(tmp_path / "run", 32) as run:
        seeds = seed_ids(run)
    job = tmp_path / "run" / "jobs" / "20990101-000000-zzzz"
    job.mkdir(parents=True)
    streams = [(seed, "elder", number) for seed in seeds for number in (1, 2)]
    words = ("wolf " * 20, "island, " * 13, "a\nnew line " * 9, "日本語 " * 14)
    with (job / "events.jsonl").open("w") as file:
        print(to_json(StageStarted("regenerate", 999, "candidates"), BEGIN), file=file)
        for stream in streams:
            print(to_json(CandidateStarted(*stream), BEGIN), file=file)
        for tick in range(SECONDS * HZ):
            for n, stream in enumerate(streams):
                text = words[(n + tick // 25) % len(words)][: TOKENS_PER_S * CHARACTERS // HZ]
                parts = (text, "") if tick < 60 else ("", text)
                print(to_json(CandidateDelta(*stream, *parts), BEGIN + tick / HZ), file=file)
    return tmp_path / "run"


@SIZES
@pytest.mark.slow
async def test_a_tick_lays_nothing_out_and_sends_little(
    streaming: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    app = app_on(streaming, player=Player(recording(streaming, None), 1.0, lambda: now))
    counts = Counting(monkeypatch)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "regenerate  " in text_of(app))
        await pilot.press("2", "a")
        for tick in range(SECONDS * HZ):
            if tick == WARM_UP * HZ:
                counts.begin()
            now = tick / HZ
            app._pump()
            await pilot.pause()
        assert "writing its answer" in text_of(app) and "64 in flight" in text_of(app)
        shown = [view for view in app.query(FlowView) if view.region and view.text()]
        assert shown and all(view.text().strip()[-5:] in "".join(view.on_screen().split("\n")) for view in shown)
    assert counts.layouts == 0
    assert 0 < counts.bytes < BYTES_PER_S * (SECONDS - WARM_UP)


@SIZES
@pytest.mark.slow
async def test_another_pane_and_another_seed_cost_one_layout_at_most(
    streaming: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(streaming, player=Player(recording(streaming, None), 1.0, lambda: 5.0))
    counts = Counting(monkeypatch)
    async with app.run_test(size=size) as pilot:
        for key in ("2", "1", "2"):  # once each: what is shown first is laid out first
            await pilot.press(key)
            await pilot.pause(0.3)
        for key, most in (("1", 1), ("2", 1), ("j", 0), ("k", 0), ("l", 0)):
            counts.begin()
            await pilot.press(key)
            await pilot.pause(0.3)
            assert counts.layouts <= most, key
