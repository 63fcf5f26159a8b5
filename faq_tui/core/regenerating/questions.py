"""From a seed to the request: where the reasoning is asked for, and how it is told from the answer.

`native`: the model thinks by itself, the server (or a think tag) keeps it apart.
`prompted`: the prompt asks for steps first and for the answer after a line "Answer:".
`off`: no reasoning is wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints import Reply
from faq_tui.core.prompts import PROMPTED, load_prompt
from faq_tui.core.settings import Source
from faq_tui.core.store.seeds import Seed

# "Answer:", "**Final answer:**", "### Answer:" at the start of a line. `*+` gives nothing back, so that a long run of
# spaces is read once and not once for each way to divide it.
ANSWER_LINE = re.compile(
    r"^[ \t]*+[#*_]*+[ \t]*+(?:final )?answer[ \t]*+[*_]*+[:：][*_]*+", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class Question:
    """What is sent besides the sampling."""

    messages: list[dict[str, str]]
    extra: dict[str, Any]


def prompt_version(source: Source) -> str:
    return load_prompt(PROMPTED).version if source.reasoning == "prompted" else "none"


def source_hash_of(source: Source) -> str:
    """A hash of all that shapes an answer besides the seed and the candidate's number."""
    return digest(source.model, source.reasoning, prompt_version(source), source.sampling.model_dump())


def question_for(seed: Seed, source: Source) -> Question:
    messages = [dict(message) for message in seed.messages]
    if source.reasoning == "prompted":
        messages[-1]["content"] = load_prompt(PROMPTED).fill(question=seed.question)
        return Question(messages, {})
    return Question(messages, {"chat_template_kwargs": {"enable_thinking": source.reasoning == "native"}})


def parts_of(reply: Reply, source: Source) -> tuple[str, str]:
    """(reasoning, answer). A prompted reply without the asked-for line is all answer."""
    if source.reasoning == "prompted" and not reply.reasoning:
        marks = list(ANSWER_LINE.finditer(reply.answer))
        if marks:
            reasoning, answer = (
                reply.answer[: marks[-1].start()].strip(),
                reply.answer[marks[-1].end() :].strip(),
            )
            if reasoning and answer:
                return reasoning, answer
    return reply.reasoning, reply.answer
