"""The judge `llm`: an LLM at an OpenAI-compatible server scores the candidates of a seed, together or one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints import run_bounded
from faq_tui.core.endpoints.opened import open_pool
from faq_tui.core.judging import reliability
from faq_tui.core.judging.judges.base import Item, Judge, OnScore, Score
from faq_tui.core.judging.llm_client import AnswerVerdicts, JudgeClient
from faq_tui.core.judging.prompt import ShownAnswer, versions
from faq_tui.core.judging.reply import PARTS
from faq_tui.core.judging.seed_judging import LISTWISE, POINTWISE, SeedJudge
from faq_tui.core.regenerating.candidate_requests import layout_state
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.run.remembered import remembered
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, JudgeSettings
from faq_tui.core.settings.prompt_file import text_of
from faq_tui.core.settings.request_keys import REQUEST_KEYS
from faq_tui.core.settings.source import Endpoint
from faq_tui.core.store.candidates import CandidateOutline
from faq_tui.core.store.judge_log import ProbeRow, probe_of, put_probe, reply_counts
from faq_tui.core.store.judged import SCORED
from faq_tui.core.store.seeds import Seed

TOO_LONG = "the candidate does not fit into the judge's window, even without its reasoning"
SHAPING_IF_SET = ("extra_body", "chat_template_kwargs", "leave_out")  # optional settings that influence a reply
UNREAD = "the reply could not be read"
T = TypeVar("T")


class LlmJudge(Judge):
    name = "llm"
    title = "LLM with a rubric"
    help = "Lets an LLM score a candidate from 1 to 10 by a rubric; it needs a server."
    measures = "a rubric's overall score from 1 to 10 by a language model"
    short = "llm"
    required = ("base_url", "model")
    shaping = ("model", "mode", "rubric", "max_tokens", "reasoning_tokens")
    keys = (
        *(*required, "api_key_env", "concurrency", "retries", "patience_s"),
        *(*REQUEST_KEYS, *shaping[1:], "max_model_len", "probe"),
    )
    explains = True
    replaces = True  # a comparison with other candidates gives a candidate a new score
    close = 1.0  # one step on the scale from 1 to 10

    def column_id(self, run: Run) -> str:
        judge = run.settings.judge
        rubric = versions(text_of(judge.rubric))
        shaping = [self.name, judge.model, rubric, judge.mode, judge.max_tokens, judge.reasoning_tokens]
        added = {name: value for name in SHAPING_IF_SET if (value := getattr(judge, name))}
        return digest(*shaping, *([added] if added else []))

    def server(self, settings: JudgeSettings) -> Endpoint:
        return settings.endpoint()

    def pending(
        self,
        settings: JudgeSettings,
        candidates: Sequence[CandidateOutline],
        scores: Mapping[int, float | None],
        details: Callable[[], Mapping[int, Mapping[str, Any]]],
    ) -> list[CandidateOutline]:
        """Returns the candidates to score. Mode pointwise scores each candidate without a score.

        Mode listwise compares all candidates of a seed. If one candidate of a seed has no score, or was not compared
        with the others, all candidates of the seed are scored again.
        """
        if settings.mode == POINTWISE:
            return [candidate for candidate in candidates if candidate.id not in scores]
        known = details()
        pending = []
        for group in _grouped(candidates, lambda candidate: (candidate.seed_id, candidate.source)):
            together = {known.get(candidate.id, {}).get("group") for candidate in group}
            if len(together) > 1 or any(candidate.id not in scores for candidate in group):
                pending += group
        return pending

    def score_all(self, context: Context, items: Sequence[Item], on_score: OnScore) -> None:
        asyncio.run(_score_all(context, self.column_id(context.run), items, on_score))

    def facts(self, run: Run, candidates: Sequence[Sequence[int]]) -> dict[str, Any]:
        judge, store = self.column_id(run), run.store
        probe = probe_of(store, judge)
        return {
            "mode": run.settings.judge.mode,
            "replies": reply_counts(store, judge),
            "orders": remembered(
                run,
                f"orders {judge}",
                SCORED,
                layout_state(run),
                lambda: reliability.order_facts(store, judge, candidates),
            ),
            "probe": reliability.probe_facts(probe) if probe else None,
        }

    def sentences(self, judging: Mapping[str, Any]) -> list[str]:
        return reliability.reliability_in_words(judging)

    def report_lines(self, judging: Mapping[str, Any]) -> list[str]:
        replies = judging["replies"]
        return [
            f"the LLM's mode: {judging['mode']}; stored replies: {replies['replies']:,}; "
            f"{replies['unfit']:,} of these replies did not fit the schema"
        ]

    def in_report(self, judge: Mapping[str, Any]) -> str:
        return f"{self.name}: {judge['model']} at {judge['url']}"

    def number(self, score: float) -> str:
        return f"{score:.3g}"

    def in_words(self, score: float) -> str:
        return f"{score:g} of 10"

    def parts(self, details: Mapping[str, Any]) -> str:
        parts = details.get("parts", {})
        return " · ".join(f"{name} {parts[name]:.3g}" for name in PARTS if name in parts)


async def _score_all(context: Context, identity: str, items: Sequence[Item], on_score: OnScore) -> None:
    judge, store = context.run.settings.judge, context.run.store
    async with open_pool(context, judge.endpoint()) as pool:
        (server,) = pool.servers
        http, endpoint = server.client, server.endpoint
        reported = (await pool.first_up(context.cancel)).max_model_len
        window = judge.max_model_len or reported or http.learned.current.window or _window_of_embedded(judge)
        client = JudgeClient(store, identity, http, endpoint, pool, text_of(judge.rubric))
        if judge.probe and probe_of(store, identity) is None:
            tester = SeedJudge(client, judge, window)
            result = await _probe(tester, items, endpoint.concurrency, context.cancel)
            if result is not None:
                if reliability.is_unreadable(result):
                    raise FaqError(reliability.UNREADABLE)
                put_probe(store, identity, result)
                level = "warning" if reliability.is_low(result) else "info"
                context.emit(Note(reliability.probe_in_words(result), level))
        seed_judge = SeedJudge(client, judge, window)

        async def score(group: Sequence[Item]) -> None:
            answers = [ShownAnswer(candidate.reasoning, candidate.answer) for _, candidate in group]
            beside = {"group": digest([candidate.id for _, candidate in group])} if judge.mode == LISTWISE else {}

            def ready(index: int, verdicts: AnswerVerdicts | None, mode: str) -> None:
                on_score(group[index][1], _score_of(verdicts, {**beside, "mode": mode}))

            await seed_judge(_question(group[0][0]), answers, ready)

        groups = _by_seed(items) if judge.mode == LISTWISE else [[item] for item in items]
        await run_bounded(groups, score, endpoint.concurrency, context.cancel)
    tally = seed_judge.tally
    for note in tally.notes(window):
        context.emit(Note(note))
    if tally.unscored:
        raise FaqError(
            f"the judge failed on {tally.unscored} of {len(items)} candidates "
            f"({tally.failures[-1]}); the other scores are kept: run the same command again"
        )


async def _probe(
    seed_judge: SeedJudge, items: Sequence[Item], concurrency: int, cancel: CancelToken
) -> ProbeRow | None:
    """Test the judge before its use, and return the result.

    Returns None if the judge failed on a part of the test, so that the next run repeats the test.
    """
    firsts = [group[0] for group in _by_seed(items)]
    of_seed = {seed.id: (_question(seed), ShownAnswer(c.reasoning, c.answer)) for seed, c in reversed(firsts)}
    chosen = list(of_seed.values())[::-1][: seed_judge.judge.probe]
    scores: list[tuple[str, float | None]] = []

    async def test(case: reliability.ProbeCase) -> None:
        async def show(kinds: Sequence[str], answers: Sequence[ShownAnswer]) -> None:
            def ready(index: int, verdicts: AnswerVerdicts | None, _mode: str) -> None:
                verdict = verdicts.verdict if verdicts else None
                scores.append((kinds[index], verdict.overall if verdict else None))

            await seed_judge(case.question, answers, ready)

        if seed_judge.judge.mode == LISTWISE:
            await show(case.kinds, case.answers)
            return
        for kind, answer in zip(case.kinds, case.answers, strict=True):
            await show([kind], [answer])

    await run_bounded(reliability.probe_cases(chosen), test, concurrency, cancel)
    return None if seed_judge.tally.unscored else reliability.probe_result(scores)


def _window_of_embedded(judge: JudgeSettings) -> int | None:
    """The context window of the embedded server, which does not report its window; None for any other server."""
    if judge.base_url != EMBEDDED:
        return None
    from faq_tui.core.embedded.server import SLOT_TOKENS

    return SLOT_TOKENS


def _by_seed(items: Sequence[Item]) -> list[list[Item]]:
    return _grouped(items, lambda item: (item[0].id, item[1].source))


def _grouped(things: Sequence[T], key: Callable[[T], tuple[str, str]]) -> list[list[T]]:
    """Group `things` by their keys (seed id, source). The groups are in the order of their first items."""
    groups: dict[tuple[str, str], list[T]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return list(groups.values())


def _question(seed: Seed) -> str:
    return "\n\n".join(message["content"] for message in seed.messages)


def _score_of(verdicts: AnswerVerdicts | None, details: dict[str, Any]) -> Score:
    if verdicts is None:
        return Score(None, TOO_LONG, "", details)
    verdict, details = verdicts.verdict, {**verdicts.details(), **details}
    if verdict is None:
        return Score(None, UNREAD, verdicts.raw, details)
    return Score(verdict.overall, verdict.reason, verdicts.raw, details)


JUDGE = LlmJudge()
