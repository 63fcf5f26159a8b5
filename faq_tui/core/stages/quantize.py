"""Each recipe on each of its sets, one child process an artefact; a folder appears under models/ whole."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.files import full_disk_is_clear, replace_folder
from faq_tui.core.base.hashing import digest
from faq_tui.core.models.target import TargetModel, find_target, fingerprint
from faq_tui.core.quantizing.job import worker_event
from faq_tui.core.quantizing.manifest import is_whole
from faq_tui.core.quantizing.servable import doubts, serve_commands
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import ArtefactDone, Note, StageProgress, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Recipe
from faq_tui.core.stages.provenance import complete_manifest
from faq_tui.core.store.artefacts import Artefact, add_artefact, add_failure, all_artefacts
from faq_tui.core.store.sets import SetRow, all_sets
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

STAGE = "quantize"
CHECKPOINTS = "checkpoints"  # in the run's cache
HALF = ".half-"  # prefix of folders that are being written


def signature(run: Run) -> str:
    sets = {name: row.ids_hash for name, row in all_sets(run.store).items()}
    wanted = [[recipe_of(recipe), name, sets.get(name)] for recipe, name in jobs(run)]
    return digest(wanted, fingerprint(run))


def intact(run: Run) -> bool:
    """Every wanted artefact's folder is there and whole."""
    rows, wanted = all_artefacts(run.store), [recipe.folder(name) for recipe, name in jobs(run)]
    return all(name in rows and is_whole(run.models / rows[name].folder) for name in wanted)


def jobs(run: Run) -> list[tuple[Recipe, str]]:
    """Every (recipe, set) of the settings, in order."""
    return [(recipe, name) for recipe in run.settings.recipes for name in run.settings.sets_of(recipe)]


def recipe_of(recipe: Recipe) -> dict[str, Any]:
    """What makes an artefact what it is, apart from its set."""
    return recipe.identity()


def artefact_signature(run: Run, recipe: Recipe, set_row: SetRow) -> str:
    return digest(recipe_of(recipe), set_row.ids_hash, fingerprint(run))


def execute(context: Context) -> str:
    run = context.run
    sets = all_sets(run.store)
    for _, name in jobs(run):
        if name not in sets:
            raise FaqError(f"set {name} is not assembled: run `faq-tui run {run.folder} --until assemble`")
    _sweep(run.models)
    wanted = {recipe.folder(name): artefact_signature(run, recipe, sets[name]) for recipe, name in jobs(run)}
    good = _good(run, wanted)
    _sweep_checkpoints(run, {_checkpoints(run, name, wanted[name]) for name in wanted if name not in good})
    todo = [(recipe, sets[name]) for recipe, name in jobs(run) if recipe.folder(name) not in good]
    context.emit(StageStarted(STAGE, len(todo), "artefacts", len(jobs(run)) - len(todo)))
    target = find_target(run, lambda text: context.emit(Note(text)))
    failed: list[tuple[str, FaqError]] = []
    for number, (recipe, set_row) in enumerate(todo):
        name = recipe.folder(set_row.name)
        context.emit(StageProgress(STAGE, number, len(todo), name))
        try:
            with full_disk_is_clear(run.models):
                _one(context, target, recipe, set_row, wanted)
        except Stopped:
            raise
        except FaqError as error:
            failed.append((name, error))
            add_failure(run.store, name, wanted[name], str(error))
            if len(todo) > 1:
                more = "; going on with the next artefact" if number + 1 < len(todo) else ""
                context.emit(Note(f"{name}: {error}{more}", "warning"))
    if failed:
        raise _failure(failed, len(todo))
    context.emit(StageProgress(STAGE, len(todo), len(todo)))
    reused = sum(artefact.same_as is not None for artefact in all_artefacts(run.store).values())
    shared = f", {reused} of them with the ids of another set and so its weights" if reused else ""
    return f"{len(jobs(run))} artefacts under {run.models.name}/{shared}"


def _failure(failed: list[tuple[str, FaqError]], tried: int) -> FaqError:
    """One sentence for all that failed, of the first one's kind."""
    name, first = failed[0]
    if tried == 1:
        return first
    more = f"; {len(failed)} of {tried} artefacts failed" if len(failed) > 1 else ""
    return type(first)(f"{name}: {first}{more}")


def _good(run: Run, wanted: dict[str, str]) -> set[str]:
    """Names of artefacts that are there, whole, and what the settings want, their shared folder too."""
    rows = all_artefacts(run.store)
    return {
        name
        for name, row in rows.items()
        if row.signature == wanted.get(name)
        and row.folder in rows
        and rows[row.folder].signature == row.signature == wanted.get(row.folder, row.signature)
        and is_whole(run.models / row.folder)
    }


def _sweep(models: Path) -> None:
    """Remove what a killed run left half-written."""
    models.mkdir(parents=True, exist_ok=True)
    for entry in models.glob(f"{HALF}*"):
        shutil.rmtree(entry, ignore_errors=True)


def _checkpoints(run: Run, name: str, wanted: str) -> Path:
    """Where the artefact's are kept: what it is made of is in the name, so none serves for another."""
    return run.cache / CHECKPOINTS / f"{name}-{wanted[:16]}"


def _sweep_checkpoints(run: Run, kept: set[Path]) -> None:
    """Remove those of artefacts that are done, or are no longer wanted as they were begun."""
    folder = run.cache / CHECKPOINTS
    for entry in folder.glob("*"):
        if entry not in kept:
            shutil.rmtree(entry, ignore_errors=True)
    with suppress(OSError):  # there is none, or something is in it
        folder.rmdir()


def _one(context: Context, target: TargetModel, recipe: Recipe, set_row: SetRow, all_wanted: dict[str, str]) -> None:
    """`all_wanted`: signature by name. A twin that is to be made anew itself lends its weights to none."""
    run, name = context.run, recipe.folder(set_row.name)
    wanted = all_wanted[name]
    twin = next(
        (
            other
            for other in all_artefacts(run.store).values()
            if other.signature == wanted == all_wanted.get(other.name, wanted)
            and other.name != name
            and not other.same_as
            and is_whole(run.models / other.folder)
        ),
        None,
    )
    if twin:
        shutil.rmtree(run.models / name, ignore_errors=True)  # of an earlier set under this name
        _record(run, name, wanted, recipe, set_row, twin.name, twin.bits, 0.0)
        context.emit(Note(f"{name} has the token ids of {twin.name}: its weights serve for both"))
        return
    half = run.models / f"{HALF}{name}"
    spec = recipe_of(recipe) | {
        "artefact": name,
        "model": target.path,
        "trust_remote_code": target.trust_remote_code,
        "device": target.device,
        "rows": str(run.calibration / f"{set_row.name}.jsonl"),
        "out": str(half),
        "checkpoints": str(_checkpoints(run, name, wanted)),
        "checkpoint_s": run.settings.quantize.checkpoint_s,
    }
    result: dict[str, Any] = {}

    def hear(message: dict[str, Any]) -> None:
        if message["kind"] == "quantized":
            result.update(message)
        event = worker_event(name, message)
        if event:
            context.emit(event)

    try:
        run_worker(STAGE, spec, hear, context.cancel, run.log(context.job), without_keys(run.settings))
        complete_manifest(half, name, run, set_row)
        replace_folder(half, run.models / name)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    _record(run, name, wanted, recipe, set_row, None, result["average_bits"], result["seconds"])
    _sweep_checkpoints(run, set((run.cache / CHECKPOINTS).glob("*")) - {_checkpoints(run, name, wanted)})
    context.emit(ArtefactDone(name, str(run.models / name), result["seconds"], result["average_bits"]))
    for doubt in doubts(run.models / name):
        context.emit(Note(f"{name}: {doubt}", "warning"))
    context.emit(Note(f"serve it with: {serve_commands(run.models / name)['vllm']}"))


def _record(
    run: Run,
    name: str,
    wanted: str,
    recipe: Recipe,
    set_row: SetRow,
    same_as: str | None,
    bits: float,
    seconds: float,
) -> None:
    add_artefact(
        run.store,
        Artefact(
            name=name,
            signature=wanted,
            recipe=recipe_of(recipe),
            set_name=set_row.name,
            same_as=same_as,
            samples=set_row.samples,
            tokens=set_row.tokens,
            bits=bits,
            seconds=seconds,
        ),
    )
