"""What is measured on what: the kinds of held-out text, their names in a run, and their metrics."""

from __future__ import annotations

PROSE, WORDS, ANSWERS, LAST_WORD, CHOICES = "prose", "words", "answers", "last_word", "choices"

PERPLEXITY, KL, TOP1 = "perplexity", "kl", "top1"
WORD_PERPLEXITY, BYTE_PERPLEXITY = "word_perplexity", "byte_perplexity"
ACCURACY, ACCURACY_NORM, LAST_PERPLEXITY, FLIPS = "accuracy", "accuracy_norm", "last_perplexity", "flips"

METRICS_OF = {  # the main one first
    PROSE: (KL, PERPLEXITY, TOP1),
    ANSWERS: (KL, PERPLEXITY, TOP1),
    WORDS: (WORD_PERPLEXITY, BYTE_PERPLEXITY, KL, TOP1),
    LAST_WORD: (ACCURACY, LAST_PERPLEXITY, KL, FLIPS),
    CHOICES: (ACCURACY, ACCURACY_NORM, FLIPS),
}
HIGHER_IS_BETTER = {
    PERPLEXITY: False,
    KL: False,
    TOP1: True,
    WORD_PERPLEXITY: False,
    BYTE_PERPLEXITY: False,
    ACCURACY: True,
    ACCURACY_NORM: True,
    LAST_PERPLEXITY: False,
    FLIPS: False,
}
LABELLED = (LAST_WORD, CHOICES)  # kinds whose items are right or wrong, so that they can flip


def named(kind: str, name: str) -> str:
    """A held-out text's name in the store and in reports: prose has its own, the others tell their kind."""
    return name if kind == PROSE else f"{kind}:{name}"


def kind_of(text: str) -> str:
    """The kind in a name that `named` made; `answers` alone are the target's."""
    head, colon, _ = text.partition(":")
    return head if head == ANSWERS or (colon and head in METRICS_OF and head != PROSE) else PROSE
