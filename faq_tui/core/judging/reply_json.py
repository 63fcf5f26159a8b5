"""Find the JSON in a judge's reply, and find the entry of each answer in this JSON.

If the server enforces no schema, a judge may put prose or Markdown around the JSON. The JSON is a list or an object
with a key for each label, and other objects may enclose it. An entry that cannot be assigned to one answer is left
out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

ALONE = ""  # the label of a single answer
SCORE_KEYS = ("overall", "score", "overall_score", "overall_rating", "rating", "final_score")
_ID_KEYS = ("id", "label", "answer", "candidate", "response", "name", "answer_id", "candidate_id", "index", "option")
_START = re.compile(r"\{|\[(?=\s*\{)")
_LABEL = re.compile(
    r"\W*(?:answer|candidate|response|option|model|assistant)?[\s_:#-]*([a-z]|\d{1,2})\W*", re.IGNORECASE
)
MOST_STARTS = 50  # At most this many places in a reply are searched for JSON.
DEEPEST = 4  # The entries may be nested in at most this number of objects.


def entries(raw: str, labels: Sequence[str]) -> dict[str, Any]:
    """The entry of each answer, by label. An entry is None if two parts of the reply contradict each other about this
    answer.
    """
    found: dict[str, Any] = {}
    disputed = set()
    for value in json_and_prose(raw)[0]:
        for label, entry in by_label(value, labels).items():
            if found.setdefault(label, entry) != entry:
                disputed.add(label)
    return {label: None if label in disputed else entry for label, entry in found.items()}


def json_and_prose(raw: str) -> tuple[list[Any], str]:
    """Returns (JSON values, prose).

    If the whole reply is JSON, the list holds only this value. If only parts of the reply are JSON, the function
    collects every JSON object and every list of objects. If a part begins like JSON but is not valid, for example
    because the reply was cut off, the whole reply counts as prose.
    """
    try:
        # strict=False allows the line breaks that models write into strings
        return [json.loads(raw, strict=False)], ""
    except (ValueError, RecursionError):
        pass
    decoder, values, end = json.JSONDecoder(strict=False), [], 0
    prose: list[str] = []
    broken = False
    for number, start in enumerate(_START.finditer(raw)):
        if number == MOST_STARTS:
            break
        if start.start() < end:
            continue
        try:
            value, after = decoder.raw_decode(raw, start.start())
        except (ValueError, RecursionError):
            broken = True
            continue
        prose.append(raw[end : start.start()])
        values.append(value)
        end = after
    return values, raw if broken else "\n".join([*prose, raw[end:]])


def by_label(value: Any, labels: Sequence[str], depth: int = 0) -> dict[str, Any]:
    """The entries in one JSON value, by label."""
    if depth > DEEPEST:
        return {}
    if isinstance(value, list):
        return _of_list([one for one in value if isinstance(one, dict)], labels)
    if not isinstance(value, dict):
        return {}
    if tuple(labels) == (ALONE,):
        if any(key in value for key in SCORE_KEYS):
            return {ALONE: value}
    elif named := _assigned(list(value), list(value.values()), labels):
        return named
    # The entries are in a part of the object, such as {"answers": [...]}.
    inner = [
        one for part in value.values() if isinstance(part, dict | list) if (one := by_label(part, labels, depth + 1))
    ]
    return inner[0] if len(inner) == 1 else {}


def _of_list(items: list[dict[str, Any]], labels: Sequence[str]) -> dict[str, Any]:
    if len(items) == len(labels) == 1:
        return {labels[0]: items[0]}
    for key in _ID_KEYS:
        if items and all(isinstance(item.get(key), str | int) for item in items):
            return _assigned([str(item[key]) for item in items], items, labels)
    return dict(zip(labels, items, strict=True)) if len(items) == len(labels) else {}


def _assigned(names: Sequence[str], values: Sequence[Any], labels: Sequence[str]) -> dict[str, Any]:
    """Map labels to values. The label is read from a name such as `A`, `Answer B` or `candidate_2`."""
    found: dict[str, Any] = {}
    matches = [_LABEL.fullmatch(name) for name in names]
    first = 0 if any(match is not None and match[1] == "0" for match in matches) else 1
    for match, value in zip(matches, values, strict=True):
        if match is None:
            continue
        word = match[1].upper()
        index = int(word) - first if word.isdigit() else -1
        label = labels[index] if 0 <= index < len(labels) else word
        if label in labels and found.setdefault(label, value) is not value:
            return {}
    return found
