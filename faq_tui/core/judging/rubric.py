"""What an LLM judge marks: four parts and the whole, each from 1 to 10, as a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LOWEST, HIGHEST = 1.0, 10.0
PARTS = ("correctness", "soundness", "completeness", "form")
OVERALL = "overall"
REASON_CHARACTERS = 240  # without a limit a small model under the schema writes one string until max_tokens
ALONE = ""  # the label of an answer that stands alone


@dataclass(frozen=True)
class Verdict:
    """The marks of one answer. `parts` is empty where only the whole could be read."""

    overall: float
    parts: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def schema(labels: Sequence[str]) -> dict[str, Any]:
    """The schema of a reply on the answers called `labels`; (ALONE,) for one alone."""
    mark = {"type": "integer", "minimum": int(LOWEST), "maximum": int(HIGHEST)}
    # The reason comes first: what is written before the marks can move them.
    one = _object(
        {"reason": {"type": "string", "maxLength": REASON_CHARACTERS}, **dict.fromkeys(PARTS, mark)} | {OVERALL: mark}
    )
    return one if tuple(labels) == (ALONE,) else _object(dict.fromkeys(labels, one))


def example(labels: Sequence[str]) -> str:
    """The form of a reply, as the prompt shows it."""
    numbers = ", ".join(f'"{name}": <1 to 10>' for name in (*PARTS, OVERALL))
    one = f'{{"reason": "<one sentence>", {numbers}}}'
    return (
        one if tuple(labels) == (ALONE,) else "{" + ", ".join(f"{json.dumps(label)}: {one}" for label in labels) + "}"
    )


def response_format(labels: Sequence[str]) -> dict[str, Any]:
    """What joins the request's body. A server that knows it not answers in prose, which the parser reads too."""
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "marks", "strict": True, "schema": schema(labels)},
        },
        "chat_template_kwargs": {"enable_thinking": False},
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
