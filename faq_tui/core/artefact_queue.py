"""List every artefact that the settings name, with its state."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.quantizing.output import NAME
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Recipe
from faq_tui.core.stages import quantize as stage
from faq_tui.core.stages.production import checkpoints
from faq_tui.core.status import is_busy
from faq_tui.core.store import stages as stage_rows
from faq_tui.core.store.artefacts import Artefact, all_artefacts, all_failures
from faq_tui.core.store.sets import all_sets


@dataclass(frozen=True)
class Queued:
    """One artefact: the target, quantized with one recipe on one calibration set.

    `state` is one of "done", "stale", "failed", "stopped", "waiting" and "no set". A stale artefact was made with
    other settings or from another set. The state "no set" means that the set must be assembled first.
    """

    recipe_index: int  # index of the recipe in `Settings.recipes`, from 0
    recipe: Recipe
    set_name: str
    name: str
    state: str
    artefact: Artefact | None  # the newest artefact with this name; None if there is none
    message: str = ""  # why the artefact could not be made


def queue_of(run: Run) -> list[Queued]:
    """All artefacts of the settings, in the order in which the stage quantize begins them.

    The states do not show which artefacts are being made now; the events of the job show this.
    """
    sets, rows = all_sets(run.store), all_artefacts(run.store)
    failures = all_failures(run.store)
    queued, first_missing = [], True
    ended = _ended(run)
    for index, recipe in enumerate(run.settings.recipes):
        for set_name in run.settings.sets_of(recipe):
            name = recipe.folder(set_name)
            row, message = rows.get(name), ""
            if row is not None and _there(run, row):
                state = (
                    "done"
                    if set_name in sets and stage.artefact_signature(run, recipe, sets[set_name]) == row.signature
                    else "stale"
                )
            elif set_name not in sets:
                state = "no set"
            else:
                state = "waiting"
                tried, why = failures.get(name, ("", ""))
                signature = stage.artefact_signature(run, recipe, sets[set_name])
                if tried == signature:
                    state, message = "failed", why
                # The stage quantize works through the artefacts in the order of this list, so it ended at the first
                # missing artefact. Other artefacts may have been in progress at the same time; such an artefact has
                # stored layers.
                elif ended and (first_missing or checkpoints(run, name, signature).is_dir()):
                    state, message = ended
            first_missing = first_missing and state == "done"
            queued.append(Queued(index, recipe, set_name, name, state, row, message))
    return queued


def _ended(run: Run) -> tuple[str, str] | None:
    """The state and the message of the stage quantize; None if this stage neither failed nor was stopped."""
    last = stage_rows.all_rows(run.store).get(stage.STAGE)
    if last is None or last.state == "done":
        return None
    if last.state == "running":
        return None if is_busy(run) else ("stopped", "its job ended without a final message")
    return last.state, last.message


def _there(run: Run, row: Artefact) -> bool:
    return (run.models / row.folder / NAME).is_file()
