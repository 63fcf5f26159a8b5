"""Cells of a Markdown table, and the check that a text in one is inert."""

from __future__ import annotations

import re
import unicodedata


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row))


def assert_inert(text: str) -> None:
    assert not [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}]
    assert not re.search(r"(?<!\\)[<`$~]|(?<!\\)!\[|\w://", text.replace("`evaluate.repeats`", ""))
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("#")] == [line for line in lines if re.match(r"##? \w", line)]
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({cells(row) for row in block.splitlines()}) == 1
