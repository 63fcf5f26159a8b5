"""List the models and texts to measure, and compute the hashes that identify a measurement."""

from __future__ import annotations

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, GREEDY, LAST_WORD, WORDS, named
from faq_tui.core.models.target import fingerprint
from faq_tui.core.run.run import Run
from faq_tui.core.settings.evaluate import TARGET_ANSWERS
from faq_tui.core.store.artefacts import Artefact, all_artefacts

UNQUANTIZED = "unquantized"  # the subject that stands for the unquantized target

VERSION = 1  # Increase this number if a code change gives other results for the same model and text.
TEMPERATURE, TOP_P = 0.6, 0.95  # the held-out answers are sampled with this temperature and this top_p


def evaluation_hash(run: Run) -> str:
    """A hash of everything that affects a held-out answer, except the seed."""
    return digest("heldout", VERSION, fingerprint(run), run.settings.evaluate.answer_tokens, TEMPERATURE, TOP_P)


def wanted_artefacts(run: Run) -> list[Artefact]:
    """The existing artefacts that the present settings ask for, in the order of the settings."""
    made = all_artefacts(run.store)
    names = [recipe.folder(name) for recipe in run.settings.recipes for name in run.settings.sets_of(recipe)]
    return [made[name] for name in names if name in made]


def subjects(run: Run) -> dict[str, str]:
    """Maps each subject to a hash that identifies its weights.

    A subject is a model to measure: `unquantized`, or a folder under `models/`. If several artefacts share a folder,
    they are one subject.
    """
    target = fingerprint(run)
    made = all_artefacts(run.store)
    hashes = {UNQUANTIZED: unquantized_hash(target)}
    for artefact in wanted_artefacts(run):
        owner = made.get(artefact.folder, artefact)
        hashes[artefact.folder] = digest(VERSION, target, owner.signature)
    return hashes


def unquantized_hash(target: str) -> str:
    """The hash of the unquantized target as a subject. `target` is the fingerprint of the target."""
    return digest(VERSION, target, UNQUANTIZED)


def texts(run: Run) -> tuple[str, ...]:
    """The names of the held-out texts that the present settings ask for.

    Each measurement is stored under one of these names.
    """
    settings = run.settings.evaluate
    answers = settings.answers if run.settings.seeds.heldout else ()
    names = (
        *settings.perplexity,
        *(answers_of(name) for name in answers),
        *(named(WORDS, name) for name in settings.word_perplexity),
        *(named(LAST_WORD, name) for name in settings.last_word),
        *(named(CHOICES, name) for name in settings.multiple_choice),
        *((GREEDY,) if settings.greedy_tokens and run.settings.seeds.heldout else ()),
    )
    return tuple(dict.fromkeys(names))


def answers_of(name: str) -> str:
    """The name of the held-out text that consists of the answers of the target or of a source."""
    return ANSWERS if name == TARGET_ANSWERS else named(ANSWERS, name)


def measurement_signature(subject: str, items: str, dtype: str, device: str) -> str:
    """The signature of a measurement. `subject` is a hash of the model, and `items` is a hash of the held-out text.

    Two measurements are comparable if their signatures differ only in `subject`.
    """
    return f"{subject}.{items}.{dtype}.{device}"


def conditions_of(signature: str) -> str:
    """The part of a measurement's signature that follows the subject: "items.dtype.device"."""
    return signature.partition(".")[2]
