"""What the tests of seeds share: a run whose only stage is `seeds`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, SeedSkipped
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Seeds, Settings, Target
from faq_tui.core.stages import seeds as stage
from faq_tui.core.store import Store
from faq_tui.core.store import seeds as rows
from faq_tui.core.store.seeds import Seed

PER_EXAMPLE = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


class Made:
    """A run of which only the seeds stage matters."""

    def __init__(self, folder: Path, **seeds: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(target=Target(model="m"), seeds=Seeds(**{"path": "starter", **seeds}))
        self.run = Run(folder, settings, Store(folder / "faq.db"))
        self.events: list[Event] = []

    def go(self) -> str:
        return stage.execute(Context(self.run, self.events.append, CancelToken(), "job"))

    def ids(self, role: str) -> list[str]:
        return [seed.id for seed in rows.by_role(self.run.store, role)]

    def seeds(self) -> list[Seed]:
        everything = [seed for role in ("chosen", "heldout", "pool") for seed in rows.by_role(self.run.store, role)]
        return sorted(everything, key=lambda seed: int(seed.origin.rpartition(":")[2]))

    def problems(self) -> dict[int, str]:
        return {event.line: event.reason for event in self.events if isinstance(event, SeedSkipped)}
