"""The plan of the next job: the state of each stage, and how long the stages to run took last time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faq_tui.core.judging.identity import current_picks
from faq_tui.core.regenerating.candidate_requests import pending_candidates
from faq_tui.core.regenerating.generation_cost import estimate_cost
from faq_tui.core.run.run import Run, lock_owner
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.status import stage_states
from faq_tui.core.store import stages

DONE = "done"
STALE = "stale"
MISSING = "missing"


@dataclass(frozen=True)
class PlannedStage:
    """One stage. `state` is one of the states of `faq-tui status`."""

    name: str
    state: str
    seconds: float | None = None  # how long the stage will take, estimated from its last run; None if it is not known

    @property
    def is_due(self) -> bool:
        """True if the next job will run the stage."""
        return self.state not in (DONE, "running")


@dataclass(frozen=True)
class RunPlan:
    """All stages in order, and the number of picks that have changed since the sets were made."""

    stages: tuple[PlannedStage, ...] = ()
    changed_picks: int = 0

    @property
    def due(self) -> tuple[PlannedStage, ...]:
        return tuple(stage for stage in self.stages if stage.is_due)

    @property
    def stale(self) -> tuple[PlannedStage, ...]:
        return tuple(stage for stage in self.stages if stage.state == STALE)

    def until(self, name: str) -> tuple[PlannedStage, ...]:
        """The due stages up to the stage `name`."""
        names = [stage.name for stage in self.stages]
        last = names.index(name) + 1 if name in names else 0
        return tuple(stage for stage in self.stages[:last] if stage.is_due)

    def can_run_alone(self, name: str) -> bool:
        """True if all stages before the stage `name` are done."""
        names = [stage.name for stage in self.stages]
        return name in names and all(stage.state == DONE for stage in self.stages[: names.index(name)])


def seconds_of(stages_: Sequence[PlannedStage]) -> float | None:
    """The sum of the stages' estimates.

    Returns None if one of the estimates is not known, or if there are no stages.
    """
    known = [stage.seconds for stage in stages_ if stage.seconds is not None]
    return sum(known) if known and len(known) == len(stages_) else None


def stage_names() -> tuple[str, ...]:
    """The names of all stages, in order."""
    return tuple(stage.name for stage in all_stages())


def plan_of(run: Run) -> RunPlan:
    """The plan of the next job. This function may read files, so the app calls it on a thread."""
    rows = stages.all_rows(run.store)
    busy = lock_owner(run.folder) is not None
    planned = []
    for found in stage_states(run, busy):
        name, seconds = found["stage"], None
        row = rows.get(name)
        if row is not None and row.finished is not None and row.state == DONE:
            seconds = max(0.0, row.finished - row.started)
        elif name == "regenerate":
            seconds = _generation_seconds(run)
        planned.append(PlannedStage(name, found["state"], seconds))
    made = rows.get("assemble")
    since = made.started if made is not None and made.state == DONE else None
    return RunPlan(tuple(planned), _changed_picks(run, since) if since is not None else 0)


def _generation_seconds(run: Run) -> float | None:
    """The seconds that the missing candidates will take.

    Returns None if no finished candidate gives a speed for the estimate.
    """
    total = 0.0
    for name, source in run.settings.sources.items():
        pending = pending_candidates(run, source)
        seconds = estimate_cost(run.store, name, source, pending).seconds if pending else 0.0
        if seconds is None:
            return None
        total += seconds
    return total or None


def _changed_picks(run: Run, since: float) -> int:
    """The number of seeds with another picked candidate now than at the time `since`."""
    count = 0
    for name in run.settings.sources:
        now = {seed_id: pick.candidate_id for seed_id, pick in current_picks(run, name).items()}
        then = {seed_id: pick.candidate_id for seed_id, pick in current_picks(run, name, since).items()}
        count += sum(then.get(seed_id, chosen) != chosen for seed_id, chosen in now.items())
    return count
