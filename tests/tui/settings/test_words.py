"""The sentences about what a change makes out of date."""

from __future__ import annotations

import pytest

from faq_tui.core.run_plan import Effect
from faq_tui.tui.settings.words import effect_in_words, sentence


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (Effect(), "This makes nothing out of date."),
        (
            Effect(("assemble", "quantize", "evaluate"), 2, (), 842.0),
            "Out of date after saving: sets, 2 artefacts, evidence (about 14:02 of work).",
        ),
        (Effect(("quantize", "report"), 1), "Out of date after saving: 1 artefact, report."),
        (Effect(("report",), 0, (), 0.2), "Out of date after saving: report."),
        (Effect(("quantize", "report"), 0), "Out of date after saving: report."),
        (Effect(current=("evaluate",)), "This makes nothing out of date. Up to date again: evidence."),
    ],
)
def test_the_effect_in_words(effect: Effect, words: str) -> None:
    assert effect_in_words(effect) == words


def test_after_saving() -> None:
    assert effect_in_words(Effect(("judge",)), saved=True) == "Out of date now: scores."


def test_a_sentence_has_no_control_characters() -> None:
    assert sentence("no\x1b[2J") == "No\ufffd[2J."
    assert sentence("faq-tui waits!") == "faq-tui waits!" and sentence("") == ""
