"""Find the pending candidates, write their requests, and decide whether to request a candidate a second time.

A source has one of three ways of reasoning:

With `native`, the model reasons by itself, and the server or a think tag separates the reasoning from the answer.
With `prompted`, the prompt asks the model to write its steps first, and then "Answer:" and the answer. With `off`,
the request asks for no reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints import Reply
from faq_tui.core.prompts import PROMPTED, Prompt, load_prompt
from faq_tui.core.regenerating.flags import CUT_OFF, LOOP, NOT_FINISHED, REFUSAL, words_of
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.settings.prompt_file import text_of
from faq_tui.core.store import candidates as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed

SAMPLE = 3  # number of candidates from which the cost of all candidates is estimated
# optional settings that influence an answer
ANSWER_KEYS = ("extra_body", "chat_template_kwargs", "leave_out")
# A second request for a candidate adds this number to the sampling seed. The number is larger than the number of
# candidates per question, so no two requests for a question have the same sampling seed.
SEED_STEP = 1000

# Matches "Answer:", "**Final answer:**" and "### Answer:" at the start of a line. The possessive `*+` prevents
# backtracking, so a long run of spaces is read only once.
ANSWER_LINE = re.compile(
    r"^[ \t]*+[#*_]*+[ \t]*+(?:final )?answer[ \t]*+[*_]*+[:：][*_]*+", re.IGNORECASE | re.MULTILINE
)


def source_hash_of(source: Source) -> str:
    """A hash of all settings that influence an answer. The hash does not depend on the seed or on the candidate's
    number.
    """
    settings = [source.model, source.reasoning, prompt_version(source), source.sampling.model_dump()]
    added = {name: value for name in ANSWER_KEYS if (value := getattr(source, name))}
    return digest(*settings, *([added] if added else []))


def layout_state(run: Run) -> list[object]:
    """The settings that determine which stored candidates count. JSON can hold them."""
    sources = sorted(run.settings.sources.items())
    return [[name, source_hash_of(source), source.candidates] for name, source in sources]


def prompt_version(source: Source) -> str:
    """The version of the source's prompt.

    For a prompt of faq-tui, the version is the prompt's name and hash. For the person's own prompt, the version is
    `own` and the hash of the text. If the question is sent without a prompt, the version is `none`. If the person has
    set a system turn, the hash of this turn is appended.
    """
    prompt = _prompt(source)
    system = text_of(source.system)
    version = prompt.version if prompt else "none"
    return version if system is None else f"{version} system/{digest(system, length=8)}"


def _prompt(source: Source) -> Prompt | None:
    own = text_of(source.prompt)
    if own is not None:
        return Prompt(f"own/{digest(own, length=8)}", own)
    return load_prompt(PROMPTED) if source.reasoning == "prompted" else None


@dataclass(frozen=True)
class PendingCandidate:
    """One candidate to request. Candidates with a lower `order` are requested earlier."""

    seed: Seed
    number: int  # 1-based
    order: int
    first: RequestPolicy | None = None  # policy of the first request; None means the usual policy
    replaces: bool = False  # if True, a candidate that is stored but unusable is requested again

    def first_request(self, source: Source) -> RequestPolicy:
        return self.first or first_request(source, self.number)


def pending_candidates(run: Run, source: Source) -> list[PendingCandidate]:
    """The candidates that do not exist yet, seed by seed.

    Seeds that already have candidates come first, so that as few seeds as possible are incomplete after a stop.
    """
    return list(each_pending(run, source))


def each_pending(run: Run, source: Source) -> Iterator[PendingCandidate]:
    """Yield the candidates that `pending_candidates` returns, without a list of all their seeds."""
    missing = rows.seeds_to_complete(run.store, source_hash_of(source), source.candidates)
    seeds = seed_rows.StoredSeeds(run.store, [seed_id for seed_id, _ in missing])
    order = count()
    for seed, (_, numbers) in zip(seeds, missing, strict=True):
        for number in numbers:
            yield PendingCandidate(seed, number, next(order))


def has_pending(run: Run, source: Source) -> bool:
    return bool(rows.seeds_to_complete(run.store, source_hash_of(source), source.candidates))


def unusable_candidates(run: Run, source: Source, first_order: int) -> list[PendingCandidate]:
    """The candidates that are stored but unusable, and are to be requested again.

    The first candidate in the list gets the order `first_order`.

    The flags of the stored candidate and the present settings determine the policy of the new request.
    """
    found: list[PendingCandidate] = []
    seeds = {seed.id: seed for seed in seed_rows.by_role(run.store, "chosen")}
    for stored in rows.unusable(run.store, source_hash_of(source), source.candidates):
        usual = first_request(source, stored.number)
        if stored.sampling_seed is not None:
            usual = replace(usual, sampling_seed=stored.sampling_seed)
        policy = next_request(source, usual, stored) or usual
        order = first_order + len(found)
        found.append(PendingCandidate(seeds[stored.seed_id], stored.number, order, policy, replaces=True))
    return found


def cost_sample(pending: Sequence[PendingCandidate]) -> list[PendingCandidate]:
    """Choose `SAMPLE` pending candidates, whose seeds have different lengths, for an estimate of the cost.

    The result is empty if at most `SAMPLE` candidates are pending.
    """
    if len(pending) <= SAMPLE:
        return []
    first = {candidate.seed.id: candidate for candidate in reversed(pending)}
    by_length = sorted(first.values(), key=lambda candidate: len(candidate.seed.question))
    if len(by_length) < SAMPLE:
        return list(pending[:SAMPLE])
    # Sort the questions by length, and take those at the quartiles. The shortest and the longest question are not
    # typical.
    return [by_length[round(len(by_length) * quarter / (SAMPLE + 1))] for quarter in range(1, SAMPLE + 1)]


@dataclass(frozen=True)
class Question:
    """The part of a request that depends on the seed. The rest of a request consists of the sampling settings."""

    messages: list[dict[str, str]]
    extra: dict[str, Any]


def question_for(seed: Seed, source: Source) -> Question:
    """The request for a seed.

    If the settings and the seed both have a system turn, one system turn is sent: first the text from the settings,
    then the text of the seed.
    """
    messages = [dict(message) for message in seed.messages]
    prompt = _prompt(source)
    if prompt:
        messages[-1]["content"] = prompt.fill(question=seed.question)
    system = text_of(source.system)
    if system is not None:
        if messages[0]["role"] == "system":
            messages[0]["content"] = f"{system}\n\n{messages[0]['content']}"
        else:
            messages.insert(0, {"role": "system", "content": system})
    if source.reasoning == "prompted":
        kwargs = source.chat_template_kwargs
    else:
        kwargs = {"enable_thinking": source.reasoning == "native", **source.chat_template_kwargs}
    return Question(messages, {"chat_template_kwargs": kwargs} if kwargs else {})


def parts_of(reply: Reply, source: Source) -> tuple[str, str]:
    """Returns (reasoning, answer). If a reply of a prompted source has no line "Answer:", the whole reply is the
    answer.
    """
    if source.reasoning == "prompted" and not reply.reasoning:
        lines = list(ANSWER_LINE.finditer(reply.answer))
        if lines:
            reasoning = reply.answer[: lines[-1].start()].strip()
            answer = reply.answer[lines[-1].end() :].strip()
            if reasoning and answer:
                return reasoning, answer
    return reply.reasoning, reply.answer


AGAIN = "; requested again"  # in the reason for a second request, the words that begin the description of it


@dataclass(frozen=True)
class RequestPolicy:
    """The settings for one request of a candidate."""

    max_tokens: int
    sampling_seed: int
    again: str = ""  # the reason for a second request; "" for the first request


def first_request(source: Source, number: int) -> RequestPolicy:
    return RequestPolicy(source.sampling.most_tokens, source.sampling.first_seed + number - 1)


def next_request(source: Source, policy: RequestPolicy, candidate: Candidate) -> RequestPolicy | None:
    """The policy for a second request of an unusable candidate; None if the settings ask for no second request.

    If a candidate was cut off while it repeated itself, more tokens would only bring more repetitions. Therefore the
    setting `on_flagged` applies to a candidate that repeats itself, even if it was cut off.
    """
    if not candidate.flags or policy.again:
        return None
    flags = set(candidate.flags)
    more_helps = CUT_OFF & flags and not flags & {*NOT_FINISHED, REFUSAL, LOOP}
    reaction = source.on_truncated if more_helps else source.on_flagged
    why = " and ".join(words_of(flag).counted for flag in candidate.flags)
    if reaction == "retry":
        room = round(policy.max_tokens * source.retry_room)
        return replace(policy, max_tokens=room, again=f"{why}{AGAIN} with room for {room} tokens")
    if reaction == "other_seed":
        other = policy.sampling_seed + SEED_STEP
        return replace(policy, sampling_seed=other, again=f"{why}{AGAIN} with the sampling seed {other}")
    return None


def better_candidate(first: Candidate, second: Candidate) -> Candidate:
    """Return the usable one of two candidates.

    If both candidates are unusable, the result is the candidate with fewer flags. If both candidates have equally
    many flags, the result is `second`.
    """
    return first if len(first.flags) < len(second.flags) else second
