"""Who is measured on what, and the hashes that say whether that was done already."""

from __future__ import annotations

from faq_tui.core.run import Run
from faq_tui.core.store.artefacts import Artefact, all_artefacts
from faq_tui.core.store.hashing import digest
from faq_tui.core.target import fingerprint

UNQUANTIZED = "unquantized"  # the subject
ANSWERS = "answers"  # the text: held-out seeds, answered by the unquantized target

VERSION = 1  # raised when the same model and text would give other numbers
TEMPERATURE, TOP_P = 0.6, 0.95  # of the held-out answers


def generation(run: Run) -> str:
    """A hash of all that shapes a held-out answer besides its seed."""
    return digest("heldout", VERSION, fingerprint(run), run.settings.evaluate.answer_tokens, TEMPERATURE, TOP_P)


def wanted_artefacts(run: Run) -> list[Artefact]:
    """The artefacts of the present settings that exist, in the settings' order."""
    there = all_artefacts(run.store)
    names = [recipe.folder(name) for recipe in run.settings.recipes for name in run.settings.sets_of(recipe)]
    return [there[name] for name in names if name in there]


def subjects(run: Run) -> dict[str, str]:
    """Subject (`unquantized`, then folders under `models/`) to a hash of what it is.

    Artefacts that share a folder share its measurements.
    """
    target = fingerprint(run)
    there = all_artefacts(run.store)
    found = {UNQUANTIZED: digest(VERSION, target, UNQUANTIZED)}
    for artefact in wanted_artefacts(run):
        owner = there.get(artefact.folder, artefact)
        found[artefact.folder] = digest(VERSION, target, owner.signature)
    return found


def texts(run: Run) -> tuple[str, ...]:
    """The held-out texts of the present settings."""
    settings = run.settings
    return (*dict.fromkeys(settings.evaluate.perplexity), *((ANSWERS,) if settings.seeds.heldout else ()))


def measurement_signature(subject: str, items: str, dtype: str, device: str) -> str:
    """`subject` and `items` are hashes. Measurements compare if all but the subject is the same."""
    return f"{subject}.{items}.{dtype}.{device}"
