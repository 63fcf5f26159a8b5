"""Stable hashes of plain values. The hashes serve as keys and as signatures.

Finished work is stale if its signature has changed.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

_PLACE = secrets.token_hex(16)  # stands for a long list, in a text that no caller can know


@dataclass(frozen=True)
class LongList:
    """A list that is too long for the memory. Its hash is the hash of the same list. `items` yields the items.

    `batch` items are in memory at the same time.
    """

    items: Callable[[], Iterable[Any]]
    batch: int = 512


def digest(*parts: Any, length: int = 16) -> str:
    """Write the parts as canonical JSON, and return the first `length` hex digits of its SHA-256.

    The parts may contain values of the class `LongList`.
    """
    lists: list[LongList] = []

    def other(value: Any) -> str:
        if not isinstance(value, LongList):
            return str(value)
        lists.append(value)
        return _PLACE

    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=other)
    if not lists:
        return hashlib.sha256(text.encode()).hexdigest()[:length]
    first, *others = text.split(f'"{_PLACE}"')
    sha = hashlib.sha256(first.encode())
    for long_list, after in zip(lists, others, strict=True):
        for piece in _pieces(long_list):
            sha.update(piece.encode())
        sha.update(after.encode())
    return sha.hexdigest()[:length]


def _pieces(long_list: LongList) -> Iterator[str]:
    """The canonical JSON of the list, in pieces."""
    items, between = iter(long_list.items()), "["
    while batch := list(islice(items, long_list.batch)):
        text = json.dumps(batch, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
        yield between + text[1:-1]
        between = ","
    yield "[]" if between == "[" else "]"


def sorted_by_digest(key: Any, values: Iterable[str]) -> list[str]:
    """The values, sorted by `digest(key, value)`. This is faster than a sort that calls `digest`."""
    begun = hashlib.sha256(json.dumps([key, 0], sort_keys=True, separators=(",", ":"), default=str)[:-2].encode())

    def with_digest(value: str) -> str:
        sha = begun.copy()
        sha.update(f"{json.encoder.encode_basestring_ascii(value)}]".encode())
        return sha.hexdigest()[:16] + value

    return [text[16:] for text in sorted(map(with_digest, values))]
