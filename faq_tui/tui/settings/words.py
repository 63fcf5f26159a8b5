"""Sentences about what a change of the settings makes out of date."""

from __future__ import annotations

from faq_tui.core.base.text import sanitize
from faq_tui.core.run_plan import Effect
from faq_tui.core.setup import step_report
from faq_tui.core.stages.unused import KEPT
from faq_tui.tui.duration import clock_time

RESULTS = {
    "regenerate": "candidates",
    "judge": "scores",
    "assemble": "sets",
    "activations": "spikes",
    "evaluate": "evidence",
}


def effect_in_words(effect: Effect, saved: bool = False) -> str:
    """Text such as "Out of date after saving: sets, 2 artefacts, evidence (about 14:02 of work)."

    `saved` is true if the changes are already saved.
    """
    sentences = []
    if effect.stale:
        time = f" (about {clock_time(effect.seconds)} of work)" if effect.seconds and round(effect.seconds) else ""
        names = ", ".join(filter(None, (_result(name, effect.artefacts) for name in effect.stale)))
        sentences.append(f"Out of date {'now' if saved else 'after saving'}: {names}{time}.")
    else:
        sentences.append("This makes nothing out of date.")
    if effect.current:
        names = ", ".join(RESULTS.get(name, name) for name in effect.current)
        sentences.append(f"Up to date again: {names}.")
    if effect.unused:
        sentences.append(f"Unused {'now' if saved else 'after saving'}: {effect.unused.in_words()}; {KEPT}.")
    if effect.unused.returning:
        sentences.append(f"Used again: {effect.unused.returning:,} stored candidates.")
    return " ".join(sentences)


def _result(stage: str, artefacts: int) -> str:
    if stage != "quantize":
        return RESULTS.get(stage, stage)
    return f"{artefacts} {'artefact' if artefacts == 1 else 'artefacts'}" if artefacts else ""


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    text = step_report.sentence(sanitize(text))
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
