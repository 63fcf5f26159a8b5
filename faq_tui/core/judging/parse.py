"""From a judge's reply to a mark: JSON first, then JSON inside prose, then a regular expression, then unscored."""

from __future__ import annotations

import json
import re
from typing import Any

from faq_tui.core.judging.mark import Mark

LOWEST, HIGHEST = 1.0, 10.0

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "score": {"type": "integer", "minimum": int(LOWEST), "maximum": int(HIGHEST)},
    },
    "required": ["reason", "score"],
    "additionalProperties": False,
}

SPELLED = re.compile(r"\bscore\b\W{0,6}(\d{1,2}(?:\.\d+)?)(?![\d.]*\d)(?!\s*(?:-|–|to\b)\s*\d)", re.IGNORECASE)
# "8" and "8/10", from servers that do not hold a model to the schema.
QUOTED = re.compile(r"\s*(\d{1,2}(?:\.\d+)?)\s*(?:/\s*10)?\s*")


def parse_mark(raw: str) -> Mark:
    """Never raises: a reply that holds no mark from 1 to 10 is unscored."""
    for text in (raw, raw[raw.find("{") : raw.rfind("}") + 1]):
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict):
            score = _in_range(body.get("score"))
            if score is not None:
                reason = body.get("reason")
                return Mark(score, reason if isinstance(reason, str) else "", raw)
            return Mark(None, "the reply has no score from 1 to 10", raw)
    spelled = SPELLED.findall(raw)
    score = _in_range(float(spelled[-1])) if spelled else None
    if score is None:
        return Mark(None, "the reply could not be read", raw)
    return Mark(score, "", raw)


def _in_range(score: object) -> float | None:
    if isinstance(score, str) and (spelled := QUOTED.fullmatch(score)):
        score = float(spelled[1])
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return float(score) if LOWEST <= score <= HIGHEST else None
