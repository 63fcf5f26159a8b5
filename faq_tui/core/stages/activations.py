"""The stage `activations`: run each calibration set through the target and store statistics of the module inputs."""

from __future__ import annotations

import shutil
from typing import Any

from faq_tui.core.activations import files
from faq_tui.core.activations.files import path_of
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.text import counted
from faq_tui.core.models.target import find_target, fingerprint
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import ActivationsReady, Note, StageProgress, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.store.activations import ActivationsRow, add_activations, all_activations, remove_activations
from faq_tui.core.store.sets import all_sets
from faq_tui.core.worker import run_for_job

STAGE = "activations"
VERSION = 1  # increase this number if new code computes other statistics for the same sets


def signature(run: Run) -> str:
    """A hash of the settings and of all sets. If the stage is switched off, the hash does not depend on the sets."""
    settings = run.settings.activations
    return digest(STAGE, settings.enabled, sorted(signatures(run).items()) if settings.enabled else [])


def intact(run: Run) -> bool:
    """True if the files of all measured sets exist."""
    return all(path_of(run, name).is_file() for name in all_activations(run.store))


def signatures(run: Run) -> dict[str, str]:
    """Maps each set's name to a hash of everything that affects the set's statistics. Sets with equal token ids have
    equal hashes.
    """
    settings, target = run.settings.activations, run.settings.target
    chosen = [VERSION, settings.modules, settings.samples, settings.tokens, target.device, target.dtype]
    sets, model = all_sets(run.store), fingerprint(run)
    return {name: digest(*chosen, model, sets[name].ids_hash) for name in run.settings.set_names() if name in sets}


def execute(context: Context) -> str:
    run = context.run
    if not run.settings.activations.enabled:
        context.emit(StageStarted(STAGE, 0, "tokens"))
        return "switched off"
    current = signatures(run)
    for name in all_activations(run.store).keys() - current.keys():
        path_of(run, name).unlink(missing_ok=True)
        remove_activations(run.store, name)
    todo = missing(run, current)
    first: dict[str, str] = {}
    for name, signature in todo.items():
        first.setdefault(signature, name)  # if several sets are equal, only one of them is measured
    if first:
        reason = _measure(context, {name: signature for signature, name in first.items()})
        if reason:
            context.emit(Note(f"{reason}; no activations are shown", "warning"))
            return "nothing is measured, because the target has none of the modules"
    else:
        context.emit(StageStarted(STAGE, 0, "tokens"))
    for name, signature in todo.items():
        if first[signature] != name:
            _share(context, first[signature], name)
    return f"{counted(len(current), 'set')} measured at {counted(len(_places(run)), 'module')}"


def measure_one(context: Context, name: str) -> str:
    """Measure the set `name`, and no other one. Returns a summary."""
    run = context.run
    current = signatures(run)
    todo = missing(run, {name: current[name]})
    done = missing(run, current)
    twin = next((other for other in current if other not in done and current[other] == current[name]), None)
    if twin is not None and todo:
        _share(context, twin, name)
    elif todo and (reason := _measure(context, todo)):
        context.emit(Note(f"{reason}; no activations are shown", "warning"))
        return "nothing is measured, because the target has none of the modules"
    row = all_activations(run.store)[name]
    return f"{counted(row.samples, 'sample')}, {counted(row.tokens, 'token')}"


def missing(run: Run, current: dict[str, str]) -> dict[str, str]:
    """The part of `current`, a result of `signatures`, that is not measured yet."""
    rows = all_activations(run.store)
    return {
        name: signature
        for name, signature in current.items()
        if name not in rows
        or rows[name].signature != signature
        or files.signature_of(path_of(run, name)) != signature
    }


def _measure(context: Context, todo: dict[str, str]) -> str:
    """Run the worker on the sets in `todo`. Returns the reason if the target cannot be measured; otherwise ""."""
    run, settings = context.run, context.run.settings.activations
    target, sets = find_target(run, lambda text: context.emit(Note(text))), all_sets(run.store)
    spec = {
        **target.spec,
        "modules": settings.modules,
        "samples": settings.samples,
        "tokens": settings.tokens,
        "sets": [
            {
                "name": name,
                "signature": signature,
                "rows": str(run.calibration / f"{name}.jsonl"),
                "kinds": str(run.token_kinds / f"{name}.jsonl"),
                "ids_hash": sets[name].ids_hash,
                "out": str(path_of(run, name)),
            }
            for name, signature in todo.items()
        ],
    }
    reason = ""

    def hear(message: dict[str, Any]) -> None:
        nonlocal reason
        kind = message.pop("kind")
        if kind == "plan":
            context.emit(StageStarted(STAGE, message["total"], "tokens"))
        elif kind == "progress":
            context.emit(StageProgress(STAGE, **message))
        elif kind == "unfit":
            reason = message["message"]
        elif kind == "activations":
            _store(context, ActivationsRow(signature=todo[message["set_name"]], **message))

    run_for_job(context, STAGE, spec, hear)
    return reason


def _share(context: Context, source: str, name: str) -> None:
    """Copy the activations of the set `source` to the set `name`, which has the same token ids."""
    run = context.run
    row = all_activations(run.store)[source]
    half = path_of(run, name).with_suffix(".half")
    shutil.copyfile(path_of(run, source), half)
    half.replace(path_of(run, name))
    _store(context, ActivationsRow(name, row.signature, row.samples, row.tokens, 0.0, row.summary))


def _store(context: Context, row: ActivationsRow) -> None:
    add_activations(context.run.store, row)
    context.emit(ActivationsReady(row.set_name, row.samples, row.tokens))
    minimum = context.run.settings.activations.expert_minimum
    starved = sum(count < minimum * row.tokens for counts in row.summary["experts"].values() for count in counts)
    if starved:
        few = counted(starved, "expert gets", "experts get")
        context.emit(Note(f"set {row.set_name}: {few} less than {minimum:.1%} of its tokens", "warning"))


def _places(run: Run) -> set[tuple[int, str]]:
    rows = all_activations(run.store).values()
    return {(entry["layer"], entry["module"]) for row in rows for entry in row.summary["places"]}
