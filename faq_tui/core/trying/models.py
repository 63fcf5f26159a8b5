"""The models that can answer a prompt: the unquantized target and the artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.evaluation.identity import UNQUANTIZED, wanted_artefacts
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.run.run import Run

MOST_MODELS = 8  # maximum number of models that answer one prompt
FIRST_ARTEFACTS = 2  # without a choice, the unquantized model and this number of artefacts answer


@dataclass(frozen=True)
class TriedModel:
    """A model that can be tried. `folder` is None for the unquantized target, which may have to be downloaded."""

    name: str  # `unquantized`, or the name of an artefact
    folder: Path | None

    def check(self) -> None:
        """Raise FaqError if the folder of an artefact is not complete."""
        if self.folder is not None and not is_whole(self.folder):
            raise FaqError(f"{self.name} has no complete folder {self.folder}: quantize it again")


def models_of(run: Run) -> list[TriedModel]:
    """The unquantized target and the artefacts of the settings that are on the disk, in the order of the settings."""
    found = [
        TriedModel(artefact.name, run.models / artefact.folder)
        for artefact in wanted_artefacts(run)
        if is_whole(run.models / artefact.folder)
    ]
    return [TriedModel(UNQUANTIZED, None), *found]


def chosen_models(run: Run, names: Sequence[str]) -> list[TriedModel]:
    """The unquantized target, followed by the artefacts with these names.

    Without names, the result has the unquantized target and the first artefacts. Raises UsageError if there is no
    model with one of the names, and FaqError if the folder of an artefact is not complete.
    """
    known = {model.name: model for model in models_of(run)}
    if not names:
        return list(known.values())[: 1 + FIRST_ARTEFACTS]
    known = {
        artefact.name: TriedModel(artefact.name, run.models / artefact.folder) for artefact in wanted_artefacts(run)
    }
    wanted = [name for name in dict.fromkeys(names) if name != UNQUANTIZED]
    for name in wanted:
        if name not in known:
            others = ", ".join(known) or "none yet"
            raise UsageError(f"this run has no artefact {name!r}: its artefacts are {others}")
        known[name].check()
    if len(wanted) + 1 > MOST_MODELS:
        raise UsageError(f"at most {MOST_MODELS} models can answer one prompt, including the unquantized model")
    return [TriedModel(UNQUANTIZED, None), *(known[name] for name in wanted)]
