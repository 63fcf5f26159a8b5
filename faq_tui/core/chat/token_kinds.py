"""The kind of each token of a sample: template, question, reasoning or answer. The first token is the attention sink.

When a sample is rendered, the kind of each token is recorded as one byte, an index into KINDS. If the sample is cut,
its kinds are cut, too. The kinds are stored in a separate file, because other programs rely on the fields in the
JSONL file of a set. Old versions of faq-tui recorded no kinds. For sets from old versions, `KindsSearch` finds the
kinds in the text.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from faq_tui.core.base.files import atomic_text
from faq_tui.core.chat.dialects import closing_tags, tag_pattern
from faq_tui.core.chat.template import Template

Span = tuple[int, int]  # [start, end)

SINK, TEMPLATE, QUESTION, REASONING, ANSWER = KINDS = ("sink", "template", "question", "reasoning", "answer")


def tokens_in(offsets: Sequence[Span], span: Span) -> Span:
    """The span of all tokens that have at least one character in `span`.

    If the tokenizer splits characters into bytes, a token at the edge may lie only partly in the span.

    `offsets` holds the character span of each token. Returns (0, 0) if no token has a character in `span`.
    """
    touched = [i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]
    return (touched[0], touched[-1] + 1) if touched else (0, 0)


def kinds_of(tokens: int, spans: Iterable[tuple[Span, str]], other: str = TEMPLATE) -> bytes:
    """Make the list of kinds. `tokens` is the number of tokens, and `spans` holds spans of tokens with their kinds.

    All other tokens get the kind `other`.
    """
    kinds = bytearray([KINDS.index(other)]) * tokens
    for (start, end), kind in spans:
        kinds[start:end] = bytes([KINDS.index(kind)]) * (end - start)
    return bytes(kinds)


def with_sink(kinds: bytes) -> bytes:
    """Mark the first token of a finished sample as the attention sink."""
    return bytes([KINDS.index(SINK)]) + kinds[1:]


def write_kinds(path: Path, rows: Iterable[bytes], ids_hash: str) -> None:
    """Write the kinds of a set. Each sample has one line of JSON: a list of [kind, number of tokens] in order.

    The first line holds `ids_hash`, the hash of the set's token ids. The file is written atomically.
    """
    with atomic_text(path) as file:
        file.write(json.dumps({"ids_hash": ids_hash}) + "\n")
        for kinds in rows:
            runs = [[KINDS[kind], len(list(run))] for kind, run in groupby(kinds)]
            file.write(json.dumps(runs) + "\n")


def read_kinds(path: Path, ids_hash: str, lengths: Sequence[int]) -> list[bytes] | None:
    """The kinds of the first samples of a set. `lengths` holds the number of tokens of each of these samples.

    Returns None if no kinds were recorded for these token ids.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            if json.loads(next(lines, "null")) != {"ids_hash": ids_hash}:
                return None
            rows = [
                bytes(KINDS.index(kind) for kind, count in json.loads(line) for _ in range(min(count, length + 1)))
                for line, length in zip(islice(lines, len(lengths)), lengths, strict=False)
            ]
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return rows if [len(row) for row in rows] == list(lengths) else None


PLACEHOLDERS = ("\ue000one\ue001", "\ue000two\ue001", "\ue000three\ue001")

Piece = tuple[str, str]  # (text that the template writes, kind of the text after it: question or answer)


@dataclass(frozen=True)
class KindsSearch:
    """Finds the kind of each token in samples without stored kinds.

    All samples must have been rendered with the template of the same tokenizer.
    """

    tokenizer: Any
    pieces: tuple[Piece, ...]  # texts of the template, each with the kind of the text after it
    specials: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any) -> KindsSearch:
        specials = frozenset(index for index, token in tokenizer.added_tokens_decoder.items() if token.special)
        return cls(tokenizer, _pieces(tokenizer), specials)

    def kinds(self, text: str, ids: Sequence[int]) -> list[int]:
        """The kind of each token in `ids`, as an index into KINDS. `text` is the text of these tokens."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        starts, of_text = self._spans(text)
        encoded_ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        out: list[int] = []
        last = KINDS.index(QUESTION)
        for index, token in enumerate(ids):
            # If a sample was cut inside a word, encoding its text again gives other ids at the end.
            if index < len(encoded_ids) and encoded_ids[index] == token:
                last = of_text[max(0, bisect.bisect_right(starts, offsets[index][0]) - 1)]
            out.append(KINDS.index(TEMPLATE) if token in self.specials else last)
        if out:
            out[0] = KINDS.index(SINK)
        return out

    def _spans(self, text: str) -> tuple[list[int], list[int]]:
        """Split the text into stretches, each with one kind.

        Returns two lists: the starts of the stretches in characters, and the kinds of the stretches.

        The start of the first stretch is 0.
        """
        spans: list[tuple[int, str]] = [(0, QUESTION)]
        offset = 0
        while offset < len(text):
            match = min(
                ((at, -len(piece), after) for piece, after in self.pieces if (at := text.find(piece, offset)) >= 0),
                default=None,
            )
            end = match[0] if match else len(text)
            if spans[-1][1] == ANSWER:
                spans += _reasoning_in(text, offset, end)
            if match is None:
                break
            offset = match[0] - match[1]
            spans += [(match[0], TEMPLATE), (offset, match[2])]
        return [start for start, _ in spans], [KINDS.index(kind) for _, kind in spans]


def _reasoning_in(text: str, start: int, end: int) -> list[tuple[int, str]]:
    """Split one reply into stretches of reasoning and stretches of the answer.

    The kind of the reasoning tags is "template".
    """
    tags, closing = list(tag_pattern().finditer(text, start, end)), closing_tags()
    if not tags:
        return []
    # The opening tag may be in the prompt, before the answer.
    spans = [(start, REASONING)] if tags[0][0] in closing else []
    for tag in tags:
        spans += [(tag.start(), TEMPLATE), (tag.end(), ANSWER if tag[0] in closing else REASONING)]
    return spans


def _pieces(tokenizer: Any) -> tuple[Piece, ...]:
    """The texts that the template writes before a question, before an answer and after an answer.

    The result is empty if there is no template.
    """
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
    except Exception:  # noqa: BLE001  a template may raise any exception; then only special tokens are recognised
        return ()
    if not (whole.find(one) < whole.find(two) < whole.find(three)) or one not in whole:
        return ()
    opening, _, rest = whole.partition(one)
    to_answer, _, rest = rest.partition(two)
    to_question = rest.partition(three)[0]
    pairs = [
        (opening, QUESTION),
        (prompt.partition(one)[2], ANSWER),
        (to_answer, ANSWER),
        (to_question, QUESTION),
        (ended.partition(two)[2], QUESTION),
    ]
    return tuple({piece: after for piece, after in pairs if piece.strip()}.items())
