"""The kinds of held-out text. The name of a text contains its kind."""

from __future__ import annotations

PROSE, WORDS, ANSWERS, LAST_WORD, CHOICES = "prose", "words", "answers", "last_word", "choices"
GREEDY = "greedy"  # every model writes its own answers, with greedy decoding
KINDS = (PROSE, ANSWERS, WORDS, LAST_WORD, CHOICES, GREEDY)
# An answer to an item of these kinds is either right or wrong, so quantization can flip it from right to wrong or
# back.
LABELLED = (LAST_WORD, CHOICES)


def named(kind: str, name: str) -> str:
    """The name of a held-out text in the store and in reports.

    The name of prose is `name`, and the name of a text of any other kind is `kind:name`.
    """
    return name if kind == PROSE else f"{kind}:{name}"


def kind_of(text: str) -> str:
    """The kind of a held-out text.

    The function reads the kind from the name that `named` made. The name `answers` means the target's own answers,
    and the name `greedy` means the greedy answers of each model.
    """
    head, colon, _ = text.partition(":")
    return head if head == ANSWERS or text == GREEDY or (colon and head in KINDS and head != PROSE) else PROSE
