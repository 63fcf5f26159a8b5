"""The plan of the next job: the state of each stage, and how long each stage will probably take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faq_tui.core.artefact_queue import queue_of
from faq_tui.core.judging.identity import chosen_picks
from faq_tui.core.regenerating.candidate_requests import each_pending
from faq_tui.core.regenerating.generation_cost import estimate_cost
from faq_tui.core.run.run import Run, lock_owner
from faq_tui.core.settings import Settings
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.stages.unused import NONE_UNUSED, UnusedCandidates, unused_candidates
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
    """All stages in order, and the number of picks that have changed since the sets were made.

    `unused` are the stored candidates that the next job will leave unused.
    """

    stages: tuple[PlannedStage, ...] = ()
    changed_picks: int = 0
    unused: UnusedCandidates = NONE_UNUSED

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


@dataclass(frozen=True)
class Effect:
    """The effect that a change of the settings would have on a run.

    `stale` lists the finished stages that become stale. `current` lists the stale stages that become up to date
    again. `artefacts` is the number of artefacts that have to be made because of the change. `seconds` is the time
    that the stages in `stale` took last time; None if it is not known. `unused` counts the stored candidates that
    would become unused.
    """

    stale: tuple[str, ...] = ()
    artefacts: int = 0
    current: tuple[str, ...] = ()
    seconds: float | None = None
    unused: UnusedCandidates = NONE_UNUSED


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
    changed = _changed_picks(run, since) if since is not None else 0
    due = [stage.name for stage in planned if stage.is_due]
    unused = unused_candidates(run).only(due) if {"seeds", "regenerate"} & set(due) else NONE_UNUSED
    return RunPlan(tuple(planned), changed, unused)


def effect_of(run: Run, settings: Settings) -> Effect:
    """The effect on the run if `settings` replaced its present settings.

    This function may read files, so the app calls it on a thread.
    """
    other = replace(run, settings=settings)
    now, then = plan_of(run), plan_of(other)
    before = {stage.name: stage.state for stage in now.stages}
    stale = [stage for stage in then.stages if before.get(stage.name) == DONE and stage.state == STALE]
    current = [stage.name for stage in then.stages if before.get(stage.name) == STALE and stage.state == DONE]
    states = {queued.name: queued.state for queued in queue_of(run)}
    names = [stage.name for stage in then.stages]
    sets_stay = all(names.index(stage.name) >= names.index("quantize") for stage in stale)
    artefacts = sum(
        not (sets_stay and queued.state == DONE) and states.get(queued.name, DONE) == DONE
        for queued in queue_of(other)
    )
    unused = NONE_UNUSED
    if run.settings.seeds != settings.seeds or run.settings.sources != settings.sources:
        unused = unused_candidates(other).beyond(unused_candidates(run))
    return Effect(tuple(stage.name for stage in stale), artefacts, tuple(current), seconds_of(stale), unused)


def _generation_seconds(run: Run) -> float | None:
    """The seconds that the missing candidates will take.

    Returns None if no finished candidate gives a speed for the estimate.
    """
    total = 0.0
    for name, source in run.settings.sources.items():
        expected = estimate_cost(run.store, name, source, each_pending(run, source))
        seconds = expected.seconds if expected.candidates else 0.0
        if seconds is None:
            return None
        total += seconds
    return total or None


def _changed_picks(run: Run, since: float) -> int:
    """The number of picks that have changed since the time `since`, over all sources."""
    count = 0
    for name in run.settings.sources:
        now = {seed_id: pick.candidate_id for seed_id, pick in chosen_picks(run, name).items()}
        then = {seed_id: pick.candidate_id for seed_id, pick in chosen_picks(run, name, since).items()}
        count += sum(then.get(seed_id, chosen) != chosen for seed_id, chosen in now.items())
    return count
