"""The kinds of held-out text. The name of a text contains its kind."""

from __future__ import annotations

PROSE, WORDS, ANSWERS, LAST_WORD, CHOICES = "prose", "words", "answers", "last_word", "choices"
KINDS = (PROSE, ANSWERS, WORDS, LAST_WORD, CHOICES)
# The model's answer to an item of these kinds is right or wrong. Therefore quantization can flip it.
LABELLED = (LAST_WORD, CHOICES)


def named(kind: str, name: str) -> str:
    """The name of a held-out text in the store and in reports.

    It is `name` for prose, and `kind:name` for all other kinds.
    """
    return name if kind == PROSE else f"{kind}:{name}"


def kind_of(text: str) -> str:
    """The kind of a held-out text.

    The function reads it from the name that `named` made. The name `answers` means the target's own answers.
    """
    head, colon, _ = text.partition(":")
    return head if head == ANSWERS or (colon and head in KINDS and head != PROSE) else PROSE
