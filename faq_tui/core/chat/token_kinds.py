"""What each token of a sample is: template, question, reasoning or answer; the first token is the sink.

Rendering knows where each text lies, so the kinds are recorded there, one byte a token, an index into KINDS. They
are cut as the sample is cut and written to a separate file, since a set's JSONL is a contract with other programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from pathlib import Path

from faq_tui.core.base.files import atomic_text

Span = tuple[int, int]  # [start, end)

SINK, TEMPLATE, QUESTION, REASONING, ANSWER = KINDS = ("sink", "template", "question", "reasoning", "answer")


def tokens_in(offsets: Sequence[Span], span: Span) -> Span:
    """The tokens that share a character with the span of the text: byte-level tokens can cover its edge.

    `offsets` has the character span of each token. (0, 0) where no token does.
    """
    touched = [i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]
    return (touched[0], touched[-1] + 1) if touched else (0, 0)


def kinds_of(tokens: int, spans: Iterable[tuple[Span, str]], other: str = TEMPLATE) -> bytes:
    """The kinds of so many tokens. `spans` are token spans with their kinds; tokens in none of them are `other`."""
    kinds = bytearray([KINDS.index(other)]) * tokens
    for (start, end), kind in spans:
        kinds[start:end] = bytes([KINDS.index(kind)]) * (end - start)
    return bytes(kinds)


def with_sink(kinds: bytes) -> bytes:
    """The kinds of a finished sample: attention parks itself at the first token, whatever that is."""
    return bytes([KINDS.index(SINK)]) + kinds[1:]


def write_kinds(path: Path, rows: Iterable[bytes], ids_hash: str) -> None:
    """Write the kinds of a set, a JSON line a sample: [kind, how many tokens] in order.

    `ids_hash` in the first line names the set's token ids. The file appears whole or not at all.
    """
    with atomic_text(path) as file:
        file.write(json.dumps({"ids_hash": ids_hash}) + "\n")
        for kinds in rows:
            runs = [[KINDS[kind], len(list(run))] for kind, run in groupby(kinds)]
            file.write(json.dumps(runs) + "\n")


def read_kinds(path: Path, ids_hash: str, lengths: Sequence[int]) -> list[bytes] | None:
    """The kinds of a set's first samples, which have so many tokens.

    None where they were never recorded, or not for these token ids.
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
