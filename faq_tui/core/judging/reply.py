"""Define the rubric of an LLM judge as a JSON schema, and read the judge's replies.

The judge gives a score from 1 to 10 for each of four criteria and one overall score. `parse_by_schema` reads the
first reply and the repaired reply. If a reply does not fit the schema, `salvage` reads the scores that it can find.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.judging.reply_json import ALONE, SCORE_KEYS, entries, json_and_prose

LOWEST, HIGHEST = 1.0, 10.0
PARTS = ("correctness", "soundness", "completeness", "form")
OVERALL = "overall"
# maximum length of a judge's reason; without this limit, a small model may write until it reaches max_tokens
REASON_CHARACTERS = 240


@dataclass(frozen=True)
class Verdict:
    """The scores of one answer. `parts` holds the scores for the criteria; it is empty if they could not be read."""

    overall: float
    parts: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def schema(labels: Sequence[str]) -> dict[str, Any]:
    """The schema of a reply about the answers with these `labels`. For a single answer, `labels` is (ALONE,)."""
    score = {"type": "integer", "minimum": int(LOWEST), "maximum": int(HIGHEST)}
    # The reason comes first, so that the judge writes it before the scores and can base them on it.
    one = _object(
        {"reason": {"type": "string", "maxLength": REASON_CHARACTERS}, **dict.fromkeys(PARTS, score)}
        | {OVERALL: score}
    )
    return one if tuple(labels) == (ALONE,) else _object(dict.fromkeys(labels, one))


def example(labels: Sequence[str]) -> str:
    """An example of a reply, for the prompt."""
    numbers = ", ".join(f'"{name}": <1 to 10>' for name in (*PARTS, OVERALL))
    one = f'{{"reason": "<one sentence>", {numbers}}}'
    return (
        one if tuple(labels) == (ALONE,) else "{" + ", ".join(f"{json.dumps(label)}: {one}" for label in labels) + "}"
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


NUMBER = r"(\d{1,2}(?:\.\d+)?)(?![\d.]*\d)(?!\s*(?:-|–|to\b)\s*\d)"  # "1-10" is a scale, not a score
_SCORE = r"\b(?:overall|score|rating|mark|grade)s?\b(?:\s{1,3}(?:score|rating|mark|grade|is|of|as|would|be)){0,4}"
SPELLED = re.compile(rf"{_SCORE}\W{{0,6}}{NUMBER}", re.IGNORECASE)
# Matches "[[8]]". Also matches "8/10" and "8 out of 10" at the end of a phrase. "7/10 of the steps" is no score.
OF_TEN = re.compile(
    rf"(?<![\d./-]){NUMBER}\**\s*(?:/|out of)\s*10\b(?=\s*(?:[.,;:!)*\]|]|\n|$))|\[\[\s*(\d{{1,2}}(?:\.\d+)?)\s*\]\]",
    re.IGNORECASE,
)
PART_SPELLED = {part: re.compile(rf"\b{part}\b\W{{0,6}}{NUMBER}", re.IGNORECASE) for part in PARTS}
_GIVES = r"(?:(?:I )?(?:would )?(?:gives?|gets|scores|rates?|it)\s{1,3}){0,4}"
LEADING = re.compile(rf"\W{{0,6}}{_GIVES}{NUMBER}", re.IGNORECASE)
# Matches "80%".
PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*")
NUMBER_WORDS = {
    **{"one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0},
    **{"six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0},
}
# Matches the texts "8" and "8/10". If a server does not enforce the schema, a reply may have a score in
# this form.
QUOTED = re.compile(r"\s*(\d{1,2}(?:\.\d+)?)\s*(?:(?:/|out of)\s*10)?\s*")


class InvalidReplyError(ValueError):
    """The reply does not fit the schema. The message gives the reason; a person and the judge read it."""


def parse_by_schema(raw: str, labels: Sequence[str]) -> dict[str, Verdict]:
    """The verdict on every answer, by label. Keys that the schema does not name are ignored.

    The entries of the answers may be arranged in another way than in the schema, for example in a list.

    Raises InvalidReplyError if the reply does not fit the schema.
    """
    try:
        return _by_schema(raw, labels)
    except InvalidReplyError as error:
        arranged = entries(raw, labels)
        try:
            return {label: _verdict(arranged.get(label), "") for label in labels}
        except InvalidReplyError:
            raise error from None


def _by_schema(raw: str, labels: Sequence[str]) -> dict[str, Verdict]:
    body = next(_objects(raw), None)
    if body is None:
        raise InvalidReplyError("it holds no JSON object" if raw.strip() else "it was empty")
    if tuple(labels) == (ALONE,):
        return {ALONE: _verdict(body, "")}
    return {label: _verdict(body.get(label), f"{label}.") for label in labels}


def salvage(raw: str, labels: Sequence[str]) -> dict[str, Verdict]:
    """The verdict on each answer whose overall score can be read, by label. Never raises."""
    try:
        return parse_by_schema(raw, labels)
    except InvalidReplyError:
        pass
    verdicts: dict[str, Verdict] = {}
    found = entries(raw, labels)
    for label, one in found.items():
        if isinstance(one, dict | int | float | str):
            verdict = _loose(one if isinstance(one, dict) else {OVERALL: one})
            if verdict is not None:
                verdicts[label] = verdict
    if not found:
        for label, text in _sections(json_and_prose(raw)[1], labels):
            verdict = _spelled(text, leading=label != ALONE)
            if verdict is not None:
                verdicts[label] = verdict
    return verdicts


def _objects(raw: str) -> Iterator[dict[str, Any]]:
    """Yield the reply if it is a JSON object. Otherwise, if the reply is prose that contains a JSON object, yield
    this object.
    """
    for text in (raw, raw[raw.find("{") : raw.rfind("}") + 1]):
        try:
            # strict=False allows the line breaks that models write into strings.
            body = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict):
            yield body
            return


def _verdict(body: object, where: str) -> Verdict:
    if not isinstance(body, dict):
        raise InvalidReplyError(f"{where.rstrip('.')} is {'missing' if body is None else 'not an object'}")
    scores = {}
    for name in (*PARTS, OVERALL):
        if name not in body:
            raise InvalidReplyError(f"{where}{name} is missing")
        value = body[name]
        if not _is_score(value):
            shown = f"{value!s:.20}" if isinstance(value, str | int | float) else type(value).__name__
            raise InvalidReplyError(f"{where}{name} is {shown}, not a number from 1 to 10")
        scores[name] = float(value)
    reason = body.get("reason")
    if not isinstance(reason, str):
        raise InvalidReplyError(f"{where}reason is missing")
    return Verdict(scores.pop(OVERALL), scores, reason)


def _loose(body: dict[str, Any]) -> Verdict | None:
    overall = next((s for key in SCORE_KEYS if (s := _number(body.get(key))) is not None), None)
    if overall is None:
        return None
    parts = {part: score for part in PARTS if (score := _number(body.get(part))) is not None}
    reason = body.get("reason")
    return Verdict(overall, parts, reason if isinstance(reason, str) else "")


def _sections(raw: str, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (label, text) for each heading in the reply. The text goes from this heading to the next heading."""
    if tuple(labels) == (ALONE,):
        yield ALONE, raw
        return
    letters = "|".join(map(re.escape, labels))
    # Matches "B: 8", "**Answer B** (8/10)" and "Candidate 2 gets 8".
    heading = re.compile(
        rf"(?<!\w)(?:(?i:answer|candidate|response|option)\s*#?(?P<of>{letters}|\d{{1,2}})\b[\"'*)\]]*\s*"
        rf"(?:[:=–-]|(?=[(|])|(?:is|gets|scores?)\b)|(?P<letter>{letters})[\"'*)\]]*\s*[:=–-])"
    )
    headings = list(heading.finditer(raw))
    for number, match in enumerate(headings):
        end = headings[number + 1].start() if number + 1 < len(headings) else len(raw)
        label = match["letter"] or match["of"]
        if label.isdigit():
            label = labels[int(label) - 1] if 1 <= int(label) <= len(labels) else ""
        if label:
            yield label, raw[match.end() : end]


def _spelled(text: str, leading: bool) -> Verdict | None:
    numbers = SPELLED.findall(text)
    if not numbers and leading and (first := LEADING.match(text)):
        numbers = [first[1]]
    if not numbers:
        of_ten = {match[1] or match[2] for match in OF_TEN.finditer(text)}
        numbers = list(of_ten) if len(of_ten) == 1 else []
    overall = _number(numbers[-1]) if numbers else None
    if overall is None:
        return None
    parts = {part: pattern.findall(text) for part, pattern in PART_SPELLED.items()}
    scores = {part: score for part, all_ in parts.items() if all_ and (score := _number(all_[-1])) is not None}
    return Verdict(overall, scores)


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and LOWEST <= value <= HIGHEST


def _number(value: object) -> float | None:
    """Convert `value` to a score from 1 to 10. Returns None if `value` is no such score.

    A text is converted if it is a number such as "8", "8/10" or "80%", or a number in words.
    """
    if isinstance(value, str):
        if quoted := QUOTED.fullmatch(value):
            value = float(quoted[1])
        elif percent := PERCENT.fullmatch(value):
            value = float(percent[1]) / 10
        else:
            value = NUMBER_WORDS.get(value.strip().lower(), value)
    return float(value) if _is_score(value) else None  # type: ignore[arg-type]
