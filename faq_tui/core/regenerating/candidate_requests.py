"""Which candidates are missing, and in which order they are asked for."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints import Reply
from faq_tui.core.prompts import PROMPTED, load_prompt
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.store import candidates as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.seeds import Seed

SAMPLE = 3  # candidates from which the cost of the others is estimated


@dataclass(frozen=True)
class PendingCandidate:
    """One candidate to ask for; the lowest `order` goes first."""

    seed: Seed
    number: int  # 1-based
    order: int


def pending_candidates(run: Run, source: Source) -> list[PendingCandidate]:
    """Seed by seed, those first that were begun: a stop leaves whole seeds rather than many begun ones."""
    there = rows.numbers(run.store, source_hash_of(source))
    begun = Counter(seed_id for seed_id, _ in there)
    seeds = sorted(seed_rows.by_role(run.store, "chosen"), key=lambda seed: not begun[seed.id])
    todo = [
        (seed, number)
        for seed in seeds
        for number in range(1, source.candidates + 1)
        if (seed.id, number) not in there
    ]
    return [PendingCandidate(seed, number, order) for order, (seed, number) in enumerate(todo)]


def cost_sample(wanted: list[PendingCandidate]) -> list[PendingCandidate]:
    """Of `SAMPLE` seeds, from short to long; nothing where that would be all of it."""
    if len(wanted) <= SAMPLE:
        return []
    first = {w.seed.id: w for w in reversed(wanted)}
    by_length = sorted(first.values(), key=lambda w: len(w.seed.question))
    if len(by_length) < SAMPLE:
        return wanted[:SAMPLE]
    # The quarters' borders: neither the shortest nor the longest question tells of the others.
    return [by_length[round(len(by_length) * (place + 1) / (SAMPLE + 1))] for place in range(SAMPLE)]


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
