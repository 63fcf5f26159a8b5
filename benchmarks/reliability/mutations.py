"""Change valid bytes, JSON, TOML and safetensors files so that they become hostile.

Each function takes a `random.Random`, so the same seed gives the same inputs.
"""

from __future__ import annotations

import copy
import json
import math
import random
import struct
from collections.abc import Iterator
from typing import Any

DEEP = 3000  # levels of nesting; Python's own limit is 1000
TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud83e",
    "\u202e\u200b\ufeff",
    "../../../etc/passwd",
    "~nobody-has-this-name/x",
    "/dev/zero/x",
    "%s%n{0}{{x}}",
    "<script>alert(1)</script>",
    "\x1b[2J\x1b]0;title\x07",
    "<|im_start|>system\n<|im_end|>",
    "<think>",
    "</think>" * 50,
    "nan",
    "1e400",
    "9" * 5000,
    "-0",
    "[",
    "{",
    '{"a": ' * 50,
    "[" * DEEP,
    "\r\n" * 100,
    " " * 20_000,
    "a" * 200_000,
    "🤖" * 1000,
    "é\u0301" * 500,
    "*" * 300,
    "x/y",
    "x/y/z",
    "http://[::1",
    "http://127.0.0.1:99999/v1",
    "file:///etc/passwd",
    "$HOME",
    "null",
)
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 7, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(math.inf, -math.inf, math.nan, True, False),
)
BYTES: tuple[bytes, ...] = (
    *(b"\0", b"\xff", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"),
    *(b"\r", b"\n\n", b"\r\n", b"\x1b[2J", b'"', b"'", b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b","),
    *(b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"1e999", b"NaN"),
    *(b"9" * 5000, b"[" * DEEP, b'{"a":' * DEEP, b" " * 5000, b"-", b"=", b"#", b":", b"data:", b"\x85\xe2\x80\xa8"),
)


def of_bytes(dice: random.Random, data: bytes, most: int = 4) -> bytes:
    """Change, remove, add, repeat or move between one and `most` parts of `data`."""
    for _ in range(dice.randint(1, most)):
        data = _one(dice, data)
    return data


def _one(dice: random.Random, data: bytes) -> bytes:
    size = len(data)
    at = dice.randrange(size + 1)
    length = min(size - at, dice.choice((1, 1, 2, 4, 16, 200, 5000)))
    kind = dice.randrange(9)
    if kind == 0 and length:  # change a bit of each byte
        part = bytes(byte ^ (1 << dice.randrange(8)) for byte in data[at : at + length])
        return data[:at] + part + data[at + length :]
    if kind == 1:
        return data[:at] + data[at + length :]
    if kind == 2:
        return data[:at] + dice.choice(BYTES) + data[at:]
    if kind == 3:
        return data[:at] + dice.choice(BYTES) + data[at + length :]
    if kind == 4:
        return data[: at + length] + data[at : at + length] * dice.choice((1, 2, 50)) + data[at + length :]
    if kind == 5:
        return data[:at]
    if kind == 6:
        return data[at:]
    if kind == 7:
        other = dice.randrange(size + 1)
        return data[:at] + data[other : other + length] + data[at:]
    return data[:at] + dice.randbytes(length) + data[at + length :]


def value(dice: random.Random, null: bool = True) -> Any:
    """A value that a program may not expect. With `null`, the value may be None, which TOML cannot write."""
    kind = dice.randrange(7)
    if kind == 0:
        return dice.choice(TEXTS)
    if kind == 1:
        return dice.choice(NUMBERS)
    if kind == 2:
        return None if null else dice.choice(NUMBERS)
    if kind == 3:
        return [dice.choice((*TEXTS, *NUMBERS)) for _ in range(dice.randrange(4))]
    if kind == 4:
        return {dice.choice(TEXTS): dice.choice((*TEXTS, *NUMBERS)) for _ in range(dice.randrange(3))}
    if kind == 5:
        return dice.choice(("x", "elder", "baseline", "auto", "target", "gptq", "~", "1", 3, 17, 0.25, 100_000))
    inner: Any = dice.choice(({}, [], [[]], [{}], {"a": {}}))
    return inner


def of_tree(dice: random.Random, tree: Any, most: int = 3, null: bool = True) -> Any:
    """Change between one and `most` values of a parsed JSON or TOML document. The given document is not changed."""
    tree = copy.deepcopy(tree)
    for _ in range(dice.randint(1, most)):
        places = list(_places(tree))
        if not places:
            return value(dice, null)
        parent, key = dice.choice(places)
        kind = dice.randrange(7)
        if kind <= 2:
            parent[key] = value(dice, null)
        elif kind == 3:
            del parent[key]
        elif kind == 4:
            other, name = dice.choice(places)
            parent[key] = copy.deepcopy(other[name])
        elif kind == 5:
            parent[key] = dice.choice(([parent[key]], {"a": parent[key]}, {str(key): parent[key]}))
        elif isinstance(parent, dict):
            name = dice.choice((f"{key}s", str(key)[1:], str(key).upper(), dice.choice(TEXTS)))
            parent[name] = parent.pop(key)
        else:
            parent.extend(copy.deepcopy(parent[:3]) * dice.choice((1, 100)))
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, inner in items:
        yield tree, key
        yield from _places(inner)


def as_json(dice: random.Random, tree: Any) -> bytes:
    """The JSON text of `tree`. Python also writes NaN, infinite numbers, and escapes of single surrogates."""
    text = json.dumps(tree, ensure_ascii=dice.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def of_json(dice: random.Random, data: bytes) -> bytes:
    """Change the structure of a JSON document, or its bytes."""
    if dice.random() < 0.3:
        return of_bytes(dice, data)
    try:
        return as_json(dice, of_tree(dice, json.loads(data)))
    except (ValueError, RecursionError):
        return of_bytes(dice, data)


def as_toml(tree: dict[str, Any]) -> bytes:
    """The TOML text of `tree`, with inline tables below the first level."""
    simple = [f"{_key(key)} = {_toml(inner)}" for key, inner in tree.items() if not _is_section(inner)]
    sections = [
        f"{'[[' * many or '['}{_key(key)}{']]' * many or ']'}\n"
        + "\n".join(f"{_key(name)} = {_toml(one)}" for name, one in body.items())
        for key, inner in tree.items()
        if _is_section(inner)
        for many, body in ([(0, inner)] if isinstance(inner, dict) else [(1, one) for one in inner])
    ]
    return "\n".join([*simple, *sections, ""]).encode("utf-8", "surrogatepass")


def _is_section(inner: Any) -> bool:
    return isinstance(inner, dict) or (
        isinstance(inner, list) and bool(inner) and all(isinstance(one, dict) for one in inner)
    )


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _toml(inner: Any) -> str:
    if isinstance(inner, bool):
        return "true" if inner else "false"
    if isinstance(inner, dict):
        return "{" + ", ".join(f"{_key(str(key))} = {_toml(one)}" for key, one in inner.items()) + "}"
    if isinstance(inner, list):
        return "[" + ", ".join(_toml(one) for one in inner) + "]"
    return json.dumps(inner, ensure_ascii=False) if isinstance(inner, str) else str(inner)


def of_safetensors(dice: random.Random, data: bytes) -> bytes:
    """Change the header, the length of the header, or the bytes of a safetensors file."""
    kind = dice.randrange(4)
    (length,) = struct.unpack("<Q", data[:8])
    header, body = data[8 : 8 + length], data[8 + length :]
    if kind == 0:
        wrong = dice.choice((0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1, 100_000_001))
        return struct.pack("<Q", wrong) + header + body
    if kind == 1:
        return of_bytes(dice, data)
    if kind == 2:
        return data[: dice.randrange(len(data))]
    tree = of_tree(dice, json.loads(header))
    if isinstance(tree, dict) and dice.random() < 0.5:
        entries = [one for one in tree.values() if isinstance(one, dict) and "shape" in one]
        if entries:
            entry = dice.choice(entries)
            entry[dice.choice(("shape", "data_offsets", "dtype"))] = dice.choice(
                ([], [0], [2**62, 2**62], [-1], [1] * 1000, [0, 0], [5, 1], "F8_E4M3", "I4", "F999", [2**63, 2**64])
            )
    header = as_json(dice, tree)
    return struct.pack("<Q", len(header)) + header + body
