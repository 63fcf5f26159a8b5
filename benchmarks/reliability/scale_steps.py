"""One step of `scale.py` in a process that does nothing else: `python scale_steps.py STEP FOLDER [FORMAT]`.

The process prints one line of JSON: times in seconds that only the process itself can know.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "reliability")]

SIZE = (120, 36)
PICKS = 24
PATIENCE_S = 120.0


def search(folder: Path) -> dict[str, float]:
    """Search for a rare word as the app does: on a new connection, until all seeds are searched."""
    from scale_runs import RARE

    from faq_tui.core.store import Store, seed_pages
    from faq_tui.core.store.seed_pages import SeedFilter, View

    began = time.perf_counter()
    db = Store(folder / "faq.db", read_only=True).db
    first = 0.0
    found = 0
    for positions in seed_pages.matches(db, View(), SeedFilter(text=RARE)):
        first = first or time.perf_counter() - began
        found += len(positions)
    assert found == 1, found
    return {"first match": first, "whole search": time.perf_counter() - began}


def first_page(folder: Path) -> dict[str, float]:
    """Open the app on the pane Seeds."""
    return asyncio.run(_first_page(folder))


async def _first_page(folder: Path) -> dict[str, float]:
    from faq_tui.tui.plan_watch import PlanWatch
    from tests.support.app_host import app_on, text_of

    began = time.perf_counter()
    app = app_on(folder, plan_watch=PlanWatch)
    async with app.run_test(size=SIZE) as pilot:
        while "Question 0:" not in text_of(app):
            assert time.perf_counter() - began < PATIENCE_S, text_of(app)
            await pilot.pause(0.01)
        return {"first page": time.perf_counter() - began}


def picks(folder: Path) -> dict[str, float]:
    """Pick candidates in the pane Judge, one key each, and measure how long each key blocks the app."""
    return asyncio.run(_picks(folder))


async def _picks(folder: Path) -> dict[str, float]:
    from faq_tui.tui.panes.judge.pane import JudgePane
    from faq_tui.tui.plan_watch import PlanWatch
    from tests.support.app_host import app_on, text_of

    walls, cpus = list[float](), list[float]()

    def timed(override: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object, **named: object) -> None:
            began, used = time.perf_counter(), time.thread_time()
            override(*arguments, **named)
            walls.append(time.perf_counter() - began)
            cpus.append(time.thread_time() - used)

        return call

    began = time.perf_counter()
    app = app_on(folder, plan_watch=PlanWatch)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("3")
        pane = app.query_one(JudgePane)
        while " reviewed " not in text_of(app):
            assert time.perf_counter() - began < PATIENCE_S, text_of(app)
            await pilot.pause(0.01)
        opened = time.perf_counter() - began
        pane._override = timed(pane._override)  # type: ignore[method-assign]
        for number in range(PICKS):
            await pilot.press("213"[number % 3])
    assert len(walls) == PICKS, len(walls)
    return {
        "pane opened": opened,
        "pick, median": statistics.median(walls),
        "pick, worst": max(walls),
        "pick, CPU median": statistics.median(cpus),
    }


def artefact_queue(folder: Path) -> dict[str, float]:
    """Read the artefacts as the pane Quantize does."""
    from faq_tui.core.artefact_queue import queue_of
    from faq_tui.core.run.run import open_run

    with open_run(folder) as run:
        began = time.perf_counter()
        queued = len(queue_of(run))
        return {"queue": time.perf_counter() - began, "artefacts": float(queued)}


def history(folder: Path) -> dict[str, float]:
    """Open the app on a run with a long history of a job, until the app has read all of its events."""
    return asyncio.run(_history(folder))


async def _history(folder: Path) -> dict[str, float]:
    from tests.support.app_host import app_on, text_of

    began = time.perf_counter()
    app = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        while "Question 0:" not in text_of(app):
            assert time.perf_counter() - began < PATIENCE_S, text_of(app)
            await pilot.pause(0.01)
        page = time.perf_counter() - began
        while app.session.phase != "idle" or app.session.waiting:
            assert time.perf_counter() - began < PATIENCE_S, app.session.phase
            await pilot.pause(0.01)
        return {"first page": page, "caught up": time.perf_counter() - began}


STEPS: dict[str, Callable[[Path], dict[str, float]]] = {
    "search": search,
    "first_page": first_page,
    "picks": picks,
    "artefact_queue": artefact_queue,
    "history": history,
}


def main(step: str, folder: str) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    if step == "fill":
        from scale_runs import fill

        fill(Path(folder))
        print("{}")
        return
    if step == "target":
        from scale_runs import make_target

        make_target(Path(folder))
        print("{}")
        return
    if step == "artefacts":
        from scale_runs import add_artefacts

        print(json.dumps({"rows": add_artefacts(Path(folder), 5000)}))
        return
    if step == "write_history":
        from scale_runs import write_history

        write_history(Path(folder), 500 << 20)
        print("{}")
        return
    print(json.dumps(STEPS[step](Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:3])
