"""Token kinds of a calibration set that was written before kinds were recorded: the fallback for old runs only.

The kinds are searched for in the sample's text. A conversation of placeholders shows which pieces the chat template
puts before a question, between it and its answer, and after that; the reasoning lies between the tags of a dialect.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.chat.dialects import closing_tags, tag_pattern
from faq_tui.core.chat.template import Template
from faq_tui.core.chat.token_kinds import ANSWER, KINDS, QUESTION, REASONING, SINK, TEMPLATE

PLACEHOLDERS = ("\ue000one\ue001", "\ue000two\ue001", "\ue000three\ue001")

Piece = tuple[str, str]  # text, what follows it: a question or an answer


@dataclass(frozen=True)
class KindsSearch:
    """Finds the kinds in samples of one tokenizer's template."""

    tokenizer: Any
    pieces: tuple[Piece, ...]  # of the template, each with the kind of the text after it
    specials: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any) -> KindsSearch:
        specials = frozenset(index for index, token in tokenizer.added_tokens_decoder.items() if token.special)
        return cls(tokenizer, _pieces(tokenizer), specials)

    def kinds(self, text: str, ids: Sequence[int]) -> list[int]:
        """An index into KINDS for each of `ids`, which decode to `text`."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        starts, of_text = self._spans(text)
        there, offsets = encoded["input_ids"], encoded["offset_mapping"]
        out: list[int] = []
        last = KINDS.index(QUESTION)
        for index, token in enumerate(ids):
            # A set that was cut may end inside a word: its last ids then read otherwise when encoded anew.
            if index < len(there) and there[index] == token:
                last = of_text[max(0, bisect.bisect_right(starts, offsets[index][0]) - 1)]
            out.append(KINDS.index(TEMPLATE) if token in self.specials else last)
        if out:
            out[0] = KINDS.index(SINK)
        return out

    def _spans(self, text: str) -> tuple[list[int], list[int]]:
        """(where each stretch begins, its kind), in characters; the first begins at 0."""
        spans: list[tuple[int, str]] = [(0, QUESTION)]
        offset = 0
        while offset < len(text):
            found = min(
                ((at, -len(piece), after) for piece, after in self.pieces if (at := text.find(piece, offset)) >= 0),
                default=None,
            )
            end = found[0] if found else len(text)
            if spans[-1][1] == ANSWER:
                spans += _reasoning_in(text, offset, end)
            if found is None:
                break
            offset = found[0] - found[1]
            spans += [(found[0], TEMPLATE), (offset, found[2])]
        return [start for start, _ in spans], [KINDS.index(kind) for _, kind in spans]


def _reasoning_in(text: str, start: int, end: int) -> list[tuple[int, str]]:
    """The stretches of one answer: reasoning between its tags, which are the template's."""
    tags, closing = list(tag_pattern().finditer(text, start, end)), closing_tags()
    if not tags:
        return []
    # The opening tag may stand in the prompt, before the answer.
    spans = [(start, REASONING)] if tags[0][0] in closing else []
    for tag in tags:
        spans += [(tag.start(), TEMPLATE), (tag.end(), ANSWER if tag[0] in closing else REASONING)]
    return spans


def _pieces(tokenizer: Any) -> tuple[Piece, ...]:
    """What the template writes before a question, between it and the answer, and after that; nothing without one."""
    if not getattr(tokenizer, "chat_template", None):
        return ()
    one, two, three = PLACEHOLDERS
    conversation = [
        {"role": "user", "content": one},
        {"role": "assistant", "content": two},
        {"role": "user", "content": three},
    ]
    try:
        template = Template(tokenizer)
        whole = template.render(conversation)
        prompt = template.render(conversation[:1], add_generation_prompt=True)
        ended = template.render(conversation[:2])
    except Exception:  # noqa: BLE001  a template is foreign code and may raise anything; special tokens remain
        return ()
    if not (whole.find(one) < whole.find(two) < whole.find(three)) or one not in whole:
        return ()
    opening, _, rest = whole.partition(one)
    to_answer, _, rest = rest.partition(two)
    to_question = rest.partition(three)[0]
    found = [
        (opening, QUESTION),
        (prompt.partition(one)[2], ANSWER),
        (to_answer, ANSWER),
        (to_question, QUESTION),
        (ended.partition(two)[2], QUESTION),
    ]
    return tuple({piece: after for piece, after in found if piece.strip()}.items())
