"""The pictures of the README, from a recorded run: `python assets/make_screenshots.py RUN` writes assets/*.svg.

The run is opened as a replay, so the run does not change, and neither this machine nor the hour is in the pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

os.environ["COLORTERM"] = "truecolor"
os.environ.pop("NO_COLOR", None)

from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.gpu import GIB, MachineSample, MachineSampler
from faq_tui.tui.player import Player, recording
from faq_tui.tui.themes import RICH

SIZE = (120, 36)
MACHINE = MachineSample((), 96.0, int(3.1 * GIB), int(7.6 * GIB))
HERE = Path(__file__).parent
PANES = {
    "seeds": "CandidateDone",
    "regenerate": "CandidateDelta",
    "judge": "ScoreReady",
    "spikes": "ActivationsReady",
    "quantize": "ModuleQuantized",
    "evidence": "MeasurementReady",
}


async def take(run: Path, pane: str, record: Path, at: float, place: Path) -> None:
    """`at`: how much of the record, 0 to 1, has been played when the picture is taken."""
    time = 0.0
    player = Player(record, 1.0, lambda: time)
    player.badge = ""
    app = FaqApp(run, Config(theme=RICH), player, sampler=MachineSampler(lambda: MACHINE))
    app.animation_level = "none"
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.3)
        first, last = span(record)
        time = (last - first) * at
        app.show_pane(pane)
        if pane == "regenerate":
            await pilot.press("a")  # follow what is being written
        while player.clock() < first + time or app.session.waiting:
            await pilot.pause(0.2)
        await pilot.pause(1.0)
        while getattr(app.pane, "busy", False):  # a thread reads or draws for it
            await pilot.pause(0.2)
        await pilot.pause(0.2)
        (place / f"{pane}.svg").write_text(app.export_screenshot(title=f"faq-tui {run.name}"))


def span(record: Path) -> tuple[float, float]:
    """Unix seconds of the first and the last event."""
    times = [at for _, at in Player(record, 0).drain_timed()]
    return times[0], times[-1]


def best_record(run: Path, kind: str) -> Path:
    """The job that has most events of a kind: the one in which the pane had most to show."""
    mark = f'"event": "{kind}"'.encode()
    found = sorted((run / "jobs").glob("*/events.jsonl"))
    return max(found, key=lambda path: path.read_bytes().count(mark), default=recording(run, None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--at", type=float, default=0.6, help="how much of the record is played (0 to 1)")
    parser.add_argument("--into", type=Path, default=HERE)
    asked = parser.parse_args()
    for pane, kind in PANES.items():
        asyncio.run(take(asked.run, pane, best_record(asked.run, kind), asked.at, asked.into))
        print(asked.into / f"{pane}.svg")


if __name__ == "__main__":
    main()
