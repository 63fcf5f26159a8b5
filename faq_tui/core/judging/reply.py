"""From a judge's reply to marks: by the schema, or salvaged from what can be read of it.

`by_schema` is tried on the first reply and on the repaired one; `salvage` comes after both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from faq_tui.core.judging.rubric import ALONE, HIGHEST, LOWEST, OVERALL, PARTS, Verdict

NUMBER = r"(\d{1,2}(?:\.\d+)?)(?![\d.]*\d)(?!\s*(?:-|–|to\b)\s*\d)"  # a scale such as 1-10 is no mark
SPELLED = re.compile(rf"\b(?:overall|score)\b\W{{0,6}}{NUMBER}", re.IGNORECASE)
PART_SPELLED = {part: re.compile(rf"\b{part}\b\W{{0,6}}{NUMBER}", re.IGNORECASE) for part in PARTS}
LEADING = re.compile(rf"\W{{0,6}}{NUMBER}")
# "8" and "8/10", from servers that do not hold a model to the schema.
QUOTED = re.compile(r"\s*(\d{1,2}(?:\.\d+)?)\s*(?:/\s*10)?\s*")


class InvalidReplyError(ValueError):
    """The reply does not fit the schema; the message says why, to a person and to the judge."""


def parse_by_schema(raw: str, labels: Sequence[str]) -> dict[str, Verdict]:
    """Label to verdict, for every label. Keys that the schema does not name are passed over.

    Raises UnfitReplyError.
    """
    body = next(_objects(raw), None)
    if body is None:
        raise InvalidReplyError("it holds no JSON object" if raw.strip() else "it was empty")
    if tuple(labels) == (ALONE,):
        return {ALONE: _verdict(body, "")}
    return {label: _verdict(body.get(label), f"{label}.") for label in labels}


def salvage(raw: str, labels: Sequence[str]) -> dict[str, Verdict]:
    """Label to verdict, for those whose overall mark can be read at all. Never raises."""
    found: dict[str, Verdict] = {}
    for body in _objects(raw):
        for label in labels:
            one = body if label == ALONE else body.get(label)
            if label not in found and isinstance(one, dict | int | float | str):
                verdict = _loose(one if isinstance(one, dict) else {OVERALL: one})
                if verdict is not None:
                    found[label] = verdict
    if not found:
        for label, text in _sections(raw, labels):
            verdict = _spelled(text, leading=label != ALONE)
            if verdict is not None:
                found[label] = verdict
    return found


def _objects(raw: str) -> Iterator[dict[str, Any]]:
    """The reply as a JSON object, or the one that stands in its prose."""
    for text in (raw, raw[raw.find("{") : raw.rfind("}") + 1]):
        try:
            body = json.loads(text, strict=False)  # models write line breaks into strings
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict):
            yield body
            return


def _verdict(body: object, where: str) -> Verdict:
    if not isinstance(body, dict):
        raise InvalidReplyError(f"{where.rstrip('.')} is {'missing' if body is None else 'not an object'}")
    marks = {}
    for name in (*PARTS, OVERALL):
        if name not in body:
            raise InvalidReplyError(f"{where}{name} is missing")
        value = body[name]
        if not _is_mark(value):
            shown = f"{value!s:.20}" if isinstance(value, str | int | float) else type(value).__name__
            raise InvalidReplyError(f"{where}{name} is {shown}, not a number from 1 to 10")
        marks[name] = float(value)
    reason = body.get("reason")
    if not isinstance(reason, str):
        raise InvalidReplyError(f"{where}reason is missing")
    return Verdict(marks.pop(OVERALL), marks, reason)


def _loose(body: dict[str, Any]) -> Verdict | None:
    overall = next((m for key in (OVERALL, "score") if (m := _number(body.get(key))) is not None), None)
    if overall is None:
        return None
    parts = {part: mark for part in PARTS if (mark := _number(body.get(part))) is not None}
    reason = body.get("reason")
    return Verdict(overall, parts, reason if isinstance(reason, str) else "")


def _sections(raw: str, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each label with the text from where it last stands as a heading to the next heading."""
    if tuple(labels) == (ALONE,):
        yield ALONE, raw
        return
    heading = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, labels))})[\"'*)\]]*\s*[:=–-]")
    headings = list(heading.finditer(raw))
    for number, found in enumerate(headings):
        end = headings[number + 1].start() if number + 1 < len(headings) else len(raw)
        yield found[1], raw[found.end() : end]


def _spelled(text: str, leading: bool) -> Verdict | None:
    found = SPELLED.findall(text)
    if not found and leading and (first := LEADING.match(text)):
        found = [first[1]]
    overall = _number(found[-1]) if found else None
    if overall is None:
        return None
    parts = {part: pattern.findall(text) for part, pattern in PART_SPELLED.items()}
    marks = {part: mark for part, all_ in parts.items() if all_ and (mark := _number(all_[-1])) is not None}
    return Verdict(overall, marks)


def _is_mark(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and LOWEST <= value <= HIGHEST


def _number(value: object) -> float | None:
    """A mark from 1 to 10, also one in quotes or out of ten."""
    if isinstance(value, str) and (quoted := QUOTED.fullmatch(value)):
        value = float(quoted[1])
    return float(value) if _is_mark(value) else None  # type: ignore[arg-type]
