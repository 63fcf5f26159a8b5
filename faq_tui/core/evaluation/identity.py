"""Who is measured on what, and the hashes that say whether that was done already."""

from __future__ import annotations

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, LAST_WORD, WORDS, named
from faq_tui.core.models.target import fingerprint
from faq_tui.core.run.run import Run
from faq_tui.core.settings.evaluate import TARGET_ANSWERS
from faq_tui.core.store.artefacts import Artefact, all_artefacts

UNQUANTIZED = "unquantized"  # the subject

VERSION = 1  # raised when the same model and text would give other numbers
TEMPERATURE, TOP_P = 0.6, 0.95  # of the held-out answers


def evaluation_hash(run: Run) -> str:
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
    """The held-out texts of the present settings, by the names that measurements have."""
    settings = run.settings.evaluate
    answers = settings.answers if run.settings.seeds.heldout else ()
    found = (
        *settings.perplexity,
        *(answers_of(name) for name in answers),
        *(named(WORDS, name) for name in settings.word_perplexity),
        *(named(LAST_WORD, name) for name in settings.last_word),
        *(named(CHOICES, name) for name in settings.multiple_choice),
    )
    return tuple(dict.fromkeys(found))


def answers_of(name: str) -> str:
    """The text of the held-out answers by the target or by a source."""
    return ANSWERS if name == TARGET_ANSWERS else named(ANSWERS, name)


def measurement_signature(subject: str, items: str, dtype: str, device: str) -> str:
    """`subject` and `items` are hashes. Measurements compare if all but the subject is the same."""
    return f"{subject}.{items}.{dtype}.{device}"
