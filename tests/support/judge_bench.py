"""An elder and a judge on one fake server, and what a judge may reply."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.fake_server import Asked, Behaviour, FakeServer, answer_of
from tests.support.shell import make_run, question

ANSWER = re.compile(r"<<<ANSWER ?([A-Z]?) ([0-9a-f]{8})\n(.*?)\nANSWER ?\1 \2", re.DOTALL)
PARTS = ("correctness", "soundness", "completeness", "form")
REPAIR = "Your reply could not be used"


def is_judge(asked: Asked) -> bool:
    return bool(asked.body["model"] == "judge-72b")


def judge_requests(server: FakeServer) -> list[Asked]:
    return [asked for asked in server.requests if is_judge(asked)]


def prompt_of(asked: Asked) -> str:
    """What the judge was shown, also where the request is one to repair."""
    return str(asked.body["messages"][0]["content"])


def is_repair(asked: Asked) -> bool:
    return len(asked.body["messages"]) == 3 and REPAIR in asked.question


def answers_in(asked: Asked) -> dict[str, str]:
    """Label ("" for one alone) to the answer that stands under it, in the order shown."""
    return {label: text for label, _, text in ANSWER.findall(prompt_of(asked))}


def mark(overall: float, reason: str = "so it is", parts: float | None = None) -> dict[str, Any]:
    return {"reason": reason, **dict.fromkeys(PARTS, overall if parts is None else parts), "overall": overall}


def marks(asked: Asked, overall: Callable[[str, int], float], reason: str = "so it is") -> str:
    """A reply by the schema; `overall(answer, place)` is the mark of an answer."""
    found = {
        label: mark(overall(text, place), reason) for place, (label, text) in enumerate(answers_in(asked).items())
    }
    return json.dumps(found[""] if list(found) == [""] else found)


def number_of(answer: str, seed: int = 0) -> int | None:
    """Which candidate of the seed this answer is, counted from 0; None if it is another text."""
    return next((n for n in range(3) if answer_of(question(seed), n) == answer), None)


def by_number(values: Mapping[int, float], seed: int = 0, other: float = 1.0) -> Callable[[Asked], str]:
    """A judge that knows each candidate of one seed."""

    def reply(asked: Asked) -> str:
        return marks(asked, lambda text, _: values.get(number_of(text, seed), other))  # type: ignore[arg-type]

    return reply


def judging(reply: Callable[[Asked], str], **other: Any) -> Behaviour:
    def both(asked: Asked) -> str:
        return reply(asked) if is_judge(asked) else answer_of(asked.question, asked.number)

    return Behaviour(models=("fake-8b", "judge-72b"), reply=both, **other)


def judged(folder: Path, url: str, seeds: int = 1, more: str = "probe = 0", **run: Any) -> Path:
    judge = f'[judge]\nkind = "llm"\nbase_url = "{url}"\nmodel = "judge-72b"\n{more}\n'
    return make_run(folder, url, seeds=seeds, rest=judge, **run)
