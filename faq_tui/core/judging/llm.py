"""An LLM as judge, over any OpenAI-compatible endpoint: a seed's candidates together, or one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints import look, open_client, run_bounded
from faq_tui.core.endpoints.probe import reachable
from faq_tui.core.judging import probe
from faq_tui.core.judging.identity import column_id
from faq_tui.core.judging.llm_client import AnswerVerdicts, JudgeClient
from faq_tui.core.judging.prompt import ShownAnswer
from faq_tui.core.judging.score import OnMark, Score
from faq_tui.core.judging.seed_judging import LISTWISE, POINTWISE, SeedJudge
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.settings import EMBEDDED, Judge
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.judge_log import ProbeRow, probe_of, put_probe
from faq_tui.core.store.seeds import Seed

Item = tuple[Seed, Candidate]
TOO_LONG = "does not fit into the judge's window, even without its reasoning"
UNREAD = "the reply could not be read"


def score_all(context: Context, items: list[Item], on_mark: OnMark) -> None:
    """Mark every candidate; each mark is handed over when it is there. Raises FaqError if some got none."""
    asyncio.run(_mark_all(context, items, on_mark))


def missing(
    items: Sequence[Item], marks: Mapping[int, Any], details: Mapping[int, Mapping[str, Any]], judge: Judge
) -> list[Item]:
    """The candidates to mark: where they are compared, all of a seed if one of them was never marked beside them."""
    if judge.mode == POINTWISE:
        return [item for item in items if item[1].id not in marks]
    found = []
    for group in _grouped(items):
        together = {details.get(candidate.id, {}).get("group") for _, candidate in group}
        if len(together) > 1 or any(candidate.id not in marks for _, candidate in group):
            found += group
    return found


async def _mark_all(context: Context, items: list[Item], on_mark: OnMark) -> None:
    judge, store = context.run.settings.judge, context.run.store
    endpoint = reachable(context, judge.endpoint())
    identity = column_id(context.run, "llm")
    async with open_client(endpoint) as client:
        told = (await look(client, endpoint, context.cancel)).max_model_len
        window = judge.max_model_len or told or _of_embedded(judge)
        asking = JudgeClient(store, identity, client, endpoint)
        if judge.probe and probe_of(store, identity) is None:
            found = await _probe(SeedJudge(asking, judge, window), items, endpoint.concurrency, context.cancel)
            if found is not None:
                put_probe(store, identity, found)
                context.emit(Note(probe.probe_in_words(found), "warning" if probe.is_low(found) else "info"))
        marker = SeedJudge(asking, judge, window)

        async def mark(group: Sequence[Item]) -> None:
            answers = [ShownAnswer(candidate.reasoning, candidate.answer) for _, candidate in group]
            beside = {"group": digest([candidate.id for _, candidate in group])} if judge.mode == LISTWISE else {}

            def ready(index: int, outcome: AnswerVerdicts | None, mode: str) -> None:
                on_mark(group[index][1], _mark_of(outcome, {**beside, "mode": mode}))

            await marker(_question(group[0][0]), answers, ready)

        groups = _grouped(items) if judge.mode == LISTWISE else [[item] for item in items]
        await run_bounded(groups, mark, endpoint.concurrency, context.cancel)
    for note in marker.tally.notes(window):
        context.emit(Note(note))
    if marker.tally.unmarked:
        raise FaqError(
            f"the judge failed on {marker.tally.unmarked} of {len(items)} candidates "
            f"({marker.tally.failures[-1]}); the other marks are kept: run the same command again"
        )


async def _probe(marker: SeedJudge, items: Sequence[Item], at_once: int, cancel: CancelToken) -> ProbeRow | None:
    """None if the judge failed on a part of it: the next run tries again, and the marks will tell of the trouble."""
    firsts = [group[0] for group in _grouped(items)]
    of_seed = {seed.id: (_question(seed), ShownAnswer(c.reasoning, c.answer)) for seed, c in reversed(firsts)}
    chosen = list(of_seed.values())[::-1][: marker.judge.probe]
    marks: list[tuple[str, float | None]] = []

    async def test(case: probe.ProbeCase) -> None:
        async def show(kinds: Sequence[str], answers: Sequence[ShownAnswer]) -> None:
            def ready(index: int, outcome: AnswerVerdicts | None, _mode: str) -> None:
                verdict = outcome.verdict if outcome else None
                marks.append((kinds[index], verdict.overall if verdict else None))

            await marker(case.question, answers, ready)

        if marker.judge.mode == LISTWISE:
            await show(case.kinds, case.answers)
            return
        for kind, answer in zip(case.kinds, case.answers, strict=True):
            await show([kind], [answer])

    await run_bounded(probe.cases(chosen), test, at_once, cancel)
    return None if marker.tally.unmarked else probe.result(marks)


def _of_embedded(judge: Judge) -> int | None:
    """The embedded server does not tell its window."""
    if judge.base_url != EMBEDDED:
        return None
    from faq_tui.core.embedded.server import SLOT_TOKENS

    return SLOT_TOKENS


def _grouped(items: Sequence[Item]) -> list[list[Item]]:
    """By seed and source, in the order of their first."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item[0].id, item[1].source), []).append(item)
    return list(groups.values())


def _question(seed: Seed) -> str:
    return "\n\n".join(message["content"] for message in seed.messages)


def _mark_of(outcome: AnswerVerdicts | None, details: dict[str, Any]) -> Score:
    if outcome is None:
        return Score(None, TOO_LONG, "", details)
    verdict, details = outcome.verdict, {**outcome.details(), **details}
    if verdict is None:
        return Score(None, UNREAD, outcome.raw, details)
    return Score(verdict.overall, verdict.reason, outcome.raw, details)
