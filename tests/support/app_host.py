"""The real app on a run of its own: nothing of this machine or this hour on its screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.gpu import GIB, GpuLoad, MachineSample, MachineSampler
from faq_tui.tui.plan_watch import PlanWatch
from faq_tui.tui.player import Player

NOW = 1_800_000_000.0
H100 = GpuLoad("H100 80GB HBM3", 97, int(71.2 * GIB), int(79.6 * GIB), 68)
SAMPLE = MachineSample((H100,), 12.0, 3 * GIB, 8 * GIB)


class NoWatch(PlanWatch):
    """Makes no plan, so that no mark depends on the speed of a thread."""

    def open(self) -> None:
        pass


def still(sample: MachineSample = SAMPLE) -> MachineSampler:
    return MachineSampler(lambda: sample)


def app_on(
    folder: Path,
    config: Config | None = None,
    player: Player | None = None,
    sample: MachineSample = SAMPLE,
    plan_watch: type[PlanWatch] = NoWatch,
) -> FaqApp:
    return FaqApp(folder, config, player, clock=lambda: NOW, sampler=still(sample), plan_watch=plan_watch)


def text_of(app: App[Any]) -> str:
    """What is on the screen, without colours."""
    strips: Any = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


async def until(pilot: Pilot[None], true: Callable[[], object], seconds: float = 20) -> None:
    """Wait for it, or fail with what is on the screen."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not true():
        assert loop.time() < deadline, text_of(pilot.app)
        await pilot.pause(0.02)


def said(app: FaqApp) -> list[str]:
    return [notification.message for notification in app._notifications]
