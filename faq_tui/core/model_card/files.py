"""Write the cards into the folders of the artefacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faq_tui.core.base.files import atomic_text
from faq_tui.core.model_card.evidence import evidence_lines
from faq_tui.core.model_card.target_card import CARD, TargetCard, target_card
from faq_tui.core.model_card.text import MARK, ModelCardFacts, model_card
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.run.run import Run
from faq_tui.core.store.artefacts import Artefact, all_artefacts

LONGEST_MARK = 1 << 16  # the mark is looked for in the first 64 KiB of a README.md


def write_first_card(run: Run, folder: Path, artefact: str, set_name: str) -> None:
    """Write the card of an artefact that has just been made, and that nobody has measured. Raises OSError."""
    row = Artefact(artefact, "", {}, set_name, None, 0, 0, 0.0, 0.0)
    _write(run, folder, row, target_card(run), None)


def write_cards(run: Run, body: dict[str, Any]) -> list[str]:
    """Write the cards of all complete artefacts that the report `body` names.

    Returns one sentence for each card that could not be written. A card is less important than the report, so an
    artefact's folder that cannot be written is no error.
    """
    rows, target, problems = all_artefacts(run.store), target_card(run), []
    for name in (row["name"] for row in body["models"]):
        artefact = rows.get(name)
        if artefact is None or artefact.same_as:  # a shared folder has the card of its owner
            continue
        try:
            _write(run, run.models / artefact.folder, artefact, target, body)
        except OSError as error:
            problems.append(f"the card of {name} could not be written: {error.strerror or error}")
    return problems


def is_own_card(path: Path) -> bool:
    """True if a person wrote the card, or changed it and deleted faq-tui's mark."""
    try:
        with path.open("rb") as file:
            return MARK.encode() not in file.read(LONGEST_MARK)
    except FileNotFoundError:
        return False


def _write(run: Run, folder: Path, artefact: Artefact, target: TargetCard, body: dict[str, Any] | None) -> None:
    manifest, path = read_manifest(folder), folder / CARD
    if manifest is None or is_own_card(path):
        return
    place = f"{run.models.name}/{artefact.name}"  # relative, because a person may move the run's folder
    text = model_card(ModelCardFacts(folder, manifest, target, evidence_lines(body, artefact), place))
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text:
        return
    with atomic_text(path) as file:
        file.write(text)
