"""The stage `quantize`: apply each recipe to each of its sets, in one child process per artefact.

An artefact's folder is moved to models/ only when it is complete.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.files import full_disk_is_clear, replace_folder
from faq_tui.core.base.hashing import digest
from faq_tui.core.models.dense import format_of_folder
from faq_tui.core.models.target import TargetModel, find_target, fingerprint
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.quantizing.servable import doubts, serve_commands
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import (
    ArtefactDone,
    ArtefactStarted,
    Event,
    LayerDone,
    LayerStarted,
    ModuleQuantized,
    Note,
    StageProgress,
    StageStarted,
)
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Recipe
from faq_tui.core.settings.weights import kind_weights_of
from faq_tui.core.stages.provenance import complete_manifest
from faq_tui.core.store.artefacts import Artefact, add_artefact, add_failure, all_artefacts
from faq_tui.core.store.sets import SetRow, all_sets
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

STAGE = "quantize"
CHECKPOINTS = "checkpoints"  # name of a folder inside the run's cache folder
HALF = ".half-"  # prefix of folders that are being written


def signature(run: Run) -> str:
    sets = {name: row.ids_hash for name, row in all_sets(run.store).items()}
    artefacts = [[recipe.identity(), name, sets.get(name), *_kinds(run, recipe, name)] for recipe, name in jobs(run)]
    return digest(artefacts, fingerprint(run))


def intact(run: Run) -> bool:
    """True if the folder of every artefact in the settings is complete."""
    rows, names = all_artefacts(run.store), [recipe.folder(name) for recipe, name in jobs(run)]
    return all(name in rows and is_whole(run.models / rows[name].folder) for name in names)


def jobs(run: Run) -> list[tuple[Recipe, str]]:
    """All pairs (recipe, set name) of the settings, in order."""
    return [(recipe, name) for recipe in run.settings.recipes for name in run.settings.sets_of(recipe)]


def artefact_signature(run: Run, recipe: Recipe, set_row: SetRow) -> str:
    kinds = _kinds(run, recipe, set_row.name)
    return digest(recipe.identity(), set_row.ids_hash, fingerprint(run), *kinds)


def _kinds(run: Run, recipe: Recipe, name: str) -> list[str]:
    """A list with one entry: a hash of the kinds of the set's tokens.

    The list is empty if the recipe weights no kinds.
    """
    if kind_weights_of(recipe) is None:
        return []
    try:
        return [digest(_kinds_file(run, name).read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return [""]  # a set of an older version has no recorded kinds


def _kinds_file(run: Run, name: str) -> Path:
    return run.token_kinds / f"{name}.jsonl"


def execute(context: Context) -> str:
    run = context.run
    sets = all_sets(run.store)
    for _, name in jobs(run):
        if name not in sets:
            raise FaqError(f"set {name} is not assembled: run `faq-tui run {run.folder} --until assemble`")
    _sweep(run.models)
    signatures = {recipe.folder(name): artefact_signature(run, recipe, sets[name]) for recipe, name in jobs(run)}
    good = _good(run, signatures)
    _sweep_checkpoints(run, {_checkpoints(run, name, signatures[name]) for name in signatures if name not in good})
    todo = [(recipe, sets[name]) for recipe, name in jobs(run) if recipe.folder(name) not in good]
    context.emit(StageStarted(STAGE, len(todo), "artefacts", len(jobs(run)) - len(todo)))
    target = find_target(run, lambda text: context.emit(Note(text)))
    failed: list[tuple[str, FaqError]] = []
    for number, (recipe, set_row) in enumerate(todo):
        name = recipe.folder(set_row.name)
        context.emit(StageProgress(STAGE, number, len(todo), name))
        try:
            with full_disk_is_clear(run.models):
                _make(context, target, recipe, set_row, signatures)
        except Stopped:
            raise
        except FaqError as error:
            failed.append((name, error))
            add_failure(run.store, name, signatures[name], str(error))
            if len(todo) > 1:
                more = "; the next artefact follows" if number + 1 < len(todo) else ""
                context.emit(Note(f"{name}: {error}{more}", "warning"))
    if failed:
        raise _failure(failed, len(todo))
    context.emit(StageProgress(STAGE, len(todo), len(todo)))
    reused = sum(artefact.same_as is not None for artefact in all_artefacts(run.store).values())
    shared = f"; {reused} of them share the weights of another set with the same token ids" if reused else ""
    return f"{len(jobs(run))} artefacts under {run.models.name}/{shared}"


def _failure(failed: list[tuple[str, FaqError]], tried: int) -> FaqError:
    """One exception for all failed artefacts. The exception has the class of the first artefact's error."""
    name, first = failed[0]
    if tried == 1:
        return first
    more = f"; {len(failed)} of {tried} artefacts failed" if len(failed) > 1 else ""
    return type(first)(f"{name}: {first}{more}")


def _good(run: Run, signatures: dict[str, str]) -> set[str]:
    """The names of the artefacts that are complete and match the settings.

    If an artefact uses the folder of another artefact, both artefacts must match the settings.
    """
    rows = all_artefacts(run.store)
    return {
        name
        for name, row in rows.items()
        if row.signature == signatures.get(name)
        and row.folder in rows
        and rows[row.folder].signature == row.signature == signatures.get(row.folder, row.signature)
        and is_whole(run.models / row.folder)
    }


def _sweep(models: Path) -> None:
    """Remove the incomplete folders that killed processes left behind."""
    models.mkdir(parents=True, exist_ok=True)
    for entry in models.glob(f"{HALF}*"):
        shutil.rmtree(entry, ignore_errors=True)


def _checkpoints(run: Run, name: str, signature: str) -> Path:
    """The folder of the artefact's checkpoints.

    The folder's name contains the signature, so that no other artefact uses this folder.
    """
    return run.cache / CHECKPOINTS / f"{name}-{signature[:16]}"


def _sweep_checkpoints(run: Run, kept: set[Path]) -> None:
    """Remove checkpoints of artefacts that are finished, or whose settings have changed."""
    folder = run.cache / CHECKPOINTS
    for entry in folder.glob("*"):
        if entry not in kept:
            shutil.rmtree(entry, ignore_errors=True)
    with suppress(OSError):  # `rmdir` fails if the folder is missing or not empty
        folder.rmdir()


def _make(context: Context, target: TargetModel, recipe: Recipe, set_row: SetRow, signatures: dict[str, str]) -> None:
    """Make one artefact, or let it share the weights of a finished artefact with the same signature.

    `signatures` maps the name of each artefact in the settings to its signature.
    """
    run, name = context.run, recipe.folder(set_row.name)
    signature = signatures[name]
    twin = _twin(run, name, signatures)
    if twin is not None:
        # this folder may hold an artefact that was made earlier from another set of this name
        shutil.rmtree(run.models / name, ignore_errors=True)
        _record(run, name, signature, recipe, set_row, twin.name, twin.bits, 0.0)
        context.emit(Note(f"{name} has the same token ids as {twin.name}, so both share the same weights"))
        return
    result = _quantize(context, target, recipe, set_row, _checkpoints(run, name, signature))
    _record(run, name, signature, recipe, set_row, None, result["average_bits"], result["seconds"])
    _sweep_checkpoints(run, set((run.cache / CHECKPOINTS).glob("*")) - {_checkpoints(run, name, signature)})
    folder = run.models / name
    context.emit(ArtefactDone(name, str(folder), result["seconds"], result["average_bits"]))
    for doubt in doubts(folder):
        context.emit(Note(f"{name}: {doubt}", "warning"))
    command = serve_commands(folder, format_of_folder(folder)).get("vllm")
    if command:
        context.emit(Note(f"serve it with: {command}"))


def _twin(run: Run, name: str, signatures: dict[str, str]) -> Artefact | None:
    """Another complete artefact with the same signature as the artefact `name`; None if there is none.

    The other artefact must match the settings. The result always has its own folder: it does not share the folder of
    a third artefact.
    """
    signature = signatures[name]
    for other in all_artefacts(run.store).values():
        alike = other.signature == signature == signatures.get(other.name, signature)
        if alike and other.name != name and not other.same_as and is_whole(run.models / other.folder):
            return other
    return None


def _quantize(
    context: Context, target: TargetModel, recipe: Recipe, set_row: SetRow, checkpoints: Path
) -> dict[str, Any]:
    """Quantize in a worker child, and move the folder to models/.

    Returns the body of the worker's message `quantized`.
    """
    run, name = context.run, recipe.folder(set_row.name)
    half = run.models / f"{HALF}{name}"
    spec = {
        "artefact": name,
        "recipe": recipe.identity(),
        "model": target.path,
        "trust_remote_code": target.trust_remote_code,
        "device": target.device,
        "rows": str(run.calibration / f"{set_row.name}.jsonl"),
        "out": str(half),
        "checkpoints": str(checkpoints),
        "checkpoint_s": run.settings.quantize.checkpoint_s,
    }
    if kind_weights_of(recipe) is not None:
        spec |= {"kinds": str(_kinds_file(run, set_row.name)), "ids_hash": set_row.ids_hash}
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
    return result


def worker_event(artefact: str, message: dict[str, Any]) -> Event | None:
    """The event for a message of the worker child; None for messages without an event."""
    match message["kind"]:
        case "quantize_started":
            return ArtefactStarted(artefact, message["layers"], message["samples"], message["tokens"])
        case "layer_started":
            return LayerStarted(artefact, message["layer"], tuple(message["modules"]))
        case "module":
            loss, seconds, note = message["loss"], message["seconds"], message["note"]
            return ModuleQuantized(artefact, message["layer"], message["module"], loss, seconds, note)
        case "layer_done":
            return LayerDone(artefact, message["layer"])
        case "resumed":
            return Note(f"{artefact} continues at layer {message['layer']}: earlier layers are already quantized")
    return None


def _record(
    run: Run,
    name: str,
    signature: str,
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
            signature=signature,
            recipe=recipe.identity(),
            set_name=set_row.name,
            same_as=same_as,
            samples=set_row.samples,
            tokens=set_row.tokens,
            bits=bits,
            seconds=seconds,
        ),
    )
