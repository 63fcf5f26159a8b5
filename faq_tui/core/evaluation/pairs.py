"""A context and what is to follow it, as one item."""

from __future__ import annotations

from faq_tui.core.evaluation.items import Item


def encode(tokenizer: object, text: str, special: bool | None = None) -> list[int]:
    """Token ids; `special` None leaves it to the tokenizer whether a text begins with a special token."""
    assert callable(tokenizer)
    options = {} if special is None else {"add_special_tokens": special}
    return list(tokenizer(text, verbose=False, **options)["input_ids"])


def pair(tokenizer: object, context: str, continuation: str, longest: int) -> Item | None:
    """Only the continuation is predicted; None where nothing of it is left to predict.

    Split as in lm_eval 0.4.13 (`_encode_pair` in lm_eval/api/model.py): both are encoded as one text, and what
    is longer than the context alone is the continuation. A context too long loses its head; `longest` is in
    tokens.
    """
    whole, before = encode(tokenizer, context + continuation), encode(tokenizer, context)
    first = len(before)
    if not 1 <= first < len(whole):
        return None
    cut = max(0, len(whole) - 1 - longest)
    return Item(tuple(whole[cut:]), first - cut) if cut < first else None
