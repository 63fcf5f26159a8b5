"""The state of a run as one object that can be written as JSON. Texts of candidates are not read."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.benchmarking import plan as benchmark_plan
from faq_tui.core.endpoints.capabilities import Capabilities
from faq_tui.core.judging.identity import count_scored, pick_counts
from faq_tui.core.judging.summary import judging_of
from faq_tui.core.paper.cells import paper_cells
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.regenerating.candidate_requests import each_pending
from faq_tui.core.regenerating.generation_cost import estimate_cost
from faq_tui.core.report.outdated import STAGE as EVALUATE
from faq_tui.core.run.context import Stage
from faq_tui.core.run.remembered import remembered
from faq_tui.core.run.run import Run, lock_owner
from faq_tui.core.run.waiting_servers import servers_waiting
from faq_tui.core.stages.pipeline import all_stages, is_current, is_signed
from faq_tui.core.store import benchmarks, candidates, seeds, server_capabilities, stages
from faq_tui.core.store.artefacts import all_artefacts
from faq_tui.core.store.candidates import Tally
from faq_tui.core.store.sets import all_sets

SCHEMA = 1


def status_of(run: Run) -> dict[str, Any]:
    """The state of each stage, and counts of seeds, candidates, scores, picks, sets, artefacts and benchmarks.

    The state of a stage is "missing", "running", "interrupted", "stopped", "failed", "stale" or "done".
    """
    busy = is_busy(run)
    servers = _servers(run)
    return {
        "schema": SCHEMA,
        "run": str(run.folder),
        "target": run.settings.target.model,
        "busy": busy,
        "stages": stage_states(run, busy),
        "seeds": _seeds(run),
        "sources": {name: _source(run, name) for name in run.settings.sources},
        "judging": judging_of(run) if run.settings.sources else None,
        "sets": [{**asdict(row), "kept": row.kept} for row in all_sets(run.store).values()],
        "artefacts": [_artefact(row) for row in all_artefacts(run.store).values()],
        "benchmarks": _benchmarks(run),
        "paper": paper_cells(run),
        **({"servers": servers} if servers else {}),
        "waiting": _waiting(run),
    }


def _servers(run: Run) -> list[dict[str, Any]]:
    """The known facts about the run's servers: refused parameters, context windows and forms of replies."""
    servers = []
    for row in server_capabilities.all_rows(run.store):
        known = Capabilities.from_json(row.facts)
        facts = known.to_json()
        del facts["identity"]
        servers.append({"url": row.url, "model": row.model, **facts, "sentence": "; ".join(known.in_words())})
    return servers


def _waiting(run: Run) -> list[dict[str, Any]]:
    """The servers that are down while a job runs, with times in unix seconds."""
    owner = lock_owner(run.folder)
    if owner is None or not owner.job:
        return []
    return [asdict(event) for event in servers_waiting(run.jobs / owner.job / "events.jsonl")]


def _seeds(run: Run) -> dict[str, Any]:
    """The number of seeds in each role. If rows were skipped, `skipped` maps each reason to its number of rows."""
    skipped = seeds.skips(run.store.db)
    return seeds.counts(run.store) | ({"skipped": skipped} if skipped else {})


def is_busy(run: Run) -> bool:
    """True if a process holds the run's lock. The operating system releases the lock when that process ends."""
    return lock_owner(run.folder) is not None


def stage_states(run: Run, busy: bool) -> list[dict[str, Any]]:
    """The state of each stage.

    A finished stage is stale if an earlier stage is not done, because the inputs of the finished stage may change.
    """
    rows, states = stages.all_rows(run.store), list[dict[str, Any]]()
    for stage in all_stages():
        earlier_stale = any(before["state"] != "done" for before in states)
        states.append(_stage(run, stage, rows.get(stage.name), busy, earlier_stale))
    return states


def changed_stage(run: Run) -> str | None:
    """The first finished stage before the stage evaluate whose settings or inputs have changed.

    Returns None if there is no such stage, or if the inputs of a stage can no longer be read.
    """
    rows = stages.all_rows(run.store)
    for stage in all_stages():
        if stage.name == EVALUATE:
            break
        row = rows.get(stage.name)
        try:
            if row is not None and row.state == "done" and not is_signed(run, stage, row, stage.signature(run)):
                return stage.name
        except (FaqError, OSError):
            return None
    return None


def _stage(run: Run, stage: Stage, row: stages.StageRow | None, busy: bool, earlier_stale: bool) -> dict[str, Any]:
    if row is None:
        return {"stage": stage.name, "state": "missing", "message": "", "started": None, "finished": None}
    state = row.state
    if state == "running" and not busy:
        state = "interrupted"
    if state == "done" and (earlier_stale or not is_current(run, stage)):
        state = "stale"
    return {
        "stage": stage.name,
        "state": state,
        "message": row.message,
        "started": row.started,
        "finished": row.finished,
    }


def _source(run: Run, name: str) -> dict[str, Any]:
    source = run.settings.sources[name]
    source_hash = source_hash_of(source)
    counts = _tally(run, name)
    picks = pick_counts(run, name)
    return {
        "model": source.model,
        "candidates": counts.candidates,
        "wanted": source.candidates * seeds.counts(run.store)["chosen"],
        "failed": candidates.count_failures(run.store, source_hash, source.candidates),
        "unfit": counts.unusable,
        "tokens": counts.completion_tokens,
        "saved_tokens": counts.saved_tokens,
        "scored": count_scored(run, name),
        "picked": picks.picked,
        "picked_by_person": picks.by_person,
        "rejected": picks.rejected,
        "outdated": candidates.tally_before(run.store, name, source_hash).candidates,
        "to_come": _to_come(run, name, counts),
    }


def _tally(run: Run, name: str) -> Tally:
    """Counts of the source's candidates."""
    source = run.settings.sources[name]
    wanted = source_hash_of(source), source.candidates
    count = partial(candidates.tally, run.store, *wanted)
    return Tally(**remembered(run, f"tally {name}", ("seeds", "candidates"), wanted, lambda: asdict(count())))


def _to_come(run: Run, name: str, counts: Tally) -> dict[str, Any]:
    """The number of candidates that the next regeneration will request from this source, and their estimated cost."""
    source = run.settings.sources[name]
    complete = counts.candidates == source.candidates * seeds.counts(run.store)["chosen"]
    pending = iter(()) if complete else each_pending(run, source)
    row = stages.all_rows(run.store).get("regenerate")
    # If the stage is done, each failed candidate was refused by the server. The next job does not request it again.
    if row is not None and row.state == "done":
        failed = candidates.failed_numbers(run.store, source_hash_of(source))
        pending = (one for one in pending if (one.seed.id, one.number) not in failed)
    expected = estimate_cost(run.store, name, source, pending, counts)
    return {
        "candidates": expected.candidates,
        "tokens": expected.tokens,
        "seconds": expected.seconds,
        "cost": expected.cost,
        "basis": expected.basis,
        "sentence": expected.sentence() if expected.candidates else "",
    }


def _benchmarks(run: Run) -> list[dict[str, Any]]:
    """One entry for each benchmark task and each model in the settings.

    If a task could not run, the entry has a message.
    """
    left, problems = {request.key for request in benchmark_plan.missing(run)}, benchmarks.all_problems(run.store)
    return [
        {
            "subject": request.subject,
            "engine": request.engine,
            "task": request.task,
            "done": request.key not in left,
            "message": problems.get(request.key, "") if request.key in left else "",
        }
        for request in benchmark_plan.wanted(run)
    ]


def _artefact(row: Any) -> dict[str, Any]:
    names = ("name", "set_name", "same_as", "samples", "tokens", "bits", "seconds")
    return {name: getattr(row, name) for name in names}
