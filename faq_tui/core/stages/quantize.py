"""The stage `quantize`: apply each recipe to each of its sets, in one child process per artefact.

An artefact's folder is moved to models/ only when it is complete.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import private_folder
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.shell import command_line
from faq_tui.core.base.text import counted
from faq_tui.core.models.target import find_target, fingerprint
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.quantizing.recipe_check import check_gpus
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, StageProgress, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Recipe
from faq_tui.core.settings.weights import kind_weights_of
from faq_tui.core.stages.production import (
    CHECKPOINTS,
    HALF,
    STAGE,
    Production,
    WantedArtefact,
    checkpoints,
    kinds_file,
)
from faq_tui.core.store.artefacts import all_artefacts
from faq_tui.core.store.sets import SetRow, all_sets

__all__ = ["STAGE"]


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
        return [digest(kinds_file(run, name).read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return [""]  # a set of an older version has no recorded kinds


def execute(context: Context) -> str:
    run = context.run
    sets = all_sets(run.store)
    check_gpus(run)
    for _, name in jobs(run):
        if name not in sets:
            raise FaqError(
                f"set {name} is not assembled: run `{command_line('run', run.folder, '--until', 'assemble')}`"
            )
    _sweep(run.models)
    signatures = {recipe.folder(name): artefact_signature(run, recipe, sets[name]) for recipe, name in jobs(run)}
    good = finished(run, signatures)
    _sweep_checkpoints(run, {checkpoints(run, name, signatures[name]) for name in signatures if name not in good})
    todo = [
        WantedArtefact(recipe.folder(name), recipe, sets[name], signatures[recipe.folder(name)])
        for recipe, name in jobs(run)
        if recipe.folder(name) not in good
    ]
    context.emit(StageStarted(STAGE, len(todo), "artefacts", len(jobs(run)) - len(todo)))
    target = find_target(run, lambda text: context.emit(Note(text)))
    try:
        failed = Production(context, target, todo, signatures).make_all()
    finally:
        _sweep(run.models)  # tasks on lost machines of a cluster leave folders behind
        with suppress(OSError):  # `rmdir` fails if the folder is missing or not empty
            (run.cache / CHECKPOINTS).rmdir()
    if failed:
        raise _failure(failed, len(todo))
    context.emit(StageProgress(STAGE, len(todo), len(todo)))
    reused = sum(artefact.same_as is not None for artefact in all_artefacts(run.store).values())
    shared = f"; {reused} of them share the weights of another set with the same token ids" if reused else ""
    return f"{counted(len(jobs(run)), 'artefact')} under {run.models.name}/{shared}"


def make_one(context: Context, name: str) -> str:
    """Make the artefact `name`, and no other one. Returns a summary.

    Other processes may make other artefacts of the run meanwhile.
    """
    run = context.run
    sets = all_sets(run.store)
    wanted = {
        recipe.folder(set_name): WantedArtefact(
            recipe.folder(set_name), recipe, sets[set_name], artefact_signature(run, recipe, sets[set_name])
        )
        for recipe, set_name in jobs(run)
        if set_name in sets
    }
    check_gpus(run)
    run.models.mkdir(parents=True, exist_ok=True)
    context.emit(StageStarted(STAGE, 1, "artefacts"))
    target = find_target(run, lambda text: context.emit(Note(text)))
    signatures = {wanted_name: one.signature for wanted_name, one in wanted.items()}
    for _, error in Production(context, target, [wanted[name]], signatures).make_all():
        raise error
    context.emit(StageProgress(STAGE, 1, 1))
    row = all_artefacts(run.store)[name]
    return f"shares the weights of {row.same_as}" if row.same_as else f"{row.bits:.2f} bits per weight"


def _failure(failed: list[tuple[str, FaqError]], tried: int) -> FaqError:
    """One exception for all failed artefacts. The exception has the class of the first artefact's error."""
    name, first = failed[0]
    if tried == 1:
        return first
    more = f"; {len(failed)} of {tried} artefacts failed" if len(failed) > 1 else ""
    return type(first)(f"{name}: {first}{more}")


def finished(run: Run, signatures: dict[str, str]) -> set[str]:
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
    private_folder(models)
    for entry in models.glob(f"{HALF}*"):
        shutil.rmtree(entry, ignore_errors=True)


def _sweep_checkpoints(run: Run, kept: set[Path]) -> None:
    """Remove checkpoints of artefacts that are finished, or whose settings have changed."""
    folder = run.cache / CHECKPOINTS
    for entry in folder.glob("*"):
        if entry not in kept:
            shutil.rmtree(entry, ignore_errors=True)
