"""Score a seed's candidates with an LLM judge: together if they fit into the judge's window, otherwise one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from faq_tui.core.base.errors import EndpointError
from faq_tui.core.base.text import counted
from faq_tui.core.endpoints.retry import GaveUpError
from faq_tui.core.judging.llm_client import AnswerVerdicts, JudgeClient, RequestRefusedError
from faq_tui.core.judging.prompt import MOST_TOGETHER, PromptBudget, ShownAnswer, budget_for
from faq_tui.core.settings import JudgeSettings

# A function that gets three values: the index of an answer, the verdicts on the answer, and the mode. If an answer is
# too long for the judge's window, its verdicts are None.
Ready = Callable[[int, AnswerVerdicts | None, str], None]
LISTWISE, POINTWISE = "listwise", "pointwise"


@dataclass
class JudgingTally:
    """Counts of unusual cases, such as candidates that could not be compared. The counts are reported at the end of
    the judging.
    """

    groups: int = 0
    cut: int = 0  # requests that show less reasoning than the settings allow
    apart: int = 0  # groups whose candidates were scored one by one
    too_long: int = 0
    unscored: int = 0
    failures: list[str] = field(default_factory=list)

    def notes(self, window: int | None) -> list[str]:
        size = f"the judge's window of {window:,} tokens" if window else "the judge's window"
        sentences = []
        if self.cut:
            sentences.append(
                f"{size} has less room for reasoning than judge.reasoning_tokens allows, so the reasoning was "
                f"shortened further in {self.cut} request{'s' * (self.cut > 1)}; answers were not shortened"
            )
        if self.apart:
            sentences.append(
                f"for {self.apart} of {self.groups} seeds, the candidates do not fit together into {size}, so "
                "they were scored one by one"
            )
        if self.too_long:
            too_long = counted(self.too_long, "candidate")
            sentences.append(f"there is no score for {too_long}, because {size} is too small")
        return sentences


class SeedJudge:
    """Scores the answers to one question at a time. `tally` counts unusual cases over all questions."""

    def __init__(self, client: JudgeClient, judge: JudgeSettings, window: int | None) -> None:
        self.client, self.judge, self.window, self.tally = client, judge, window, JudgingTally()

    async def __call__(self, question: str, answers: Sequence[ShownAnswer], ready: Ready) -> None:
        """Score the answers to one question.

        `ready` is called once for each answer, except for an answer on which the judge failed.

        Raises EndpointError if the server cannot be reached.
        """
        self.tally.groups += 1
        if len(answers) > 1:
            if await self._together(question, answers, ready):
                return
            self.tally.apart += 1
        for index, answer in enumerate(answers):
            await self._alone(question, answer, index, ready)

    async def _together(self, question: str, answers: Sequence[ShownAnswer], ready: Ready) -> bool:
        """Score all answers in one request. Returns False if a prompt with all answers is too long for the judge's
        window.
        """
        budget = budget_for(question, answers, self.judge, self.window) if len(answers) <= MOST_TOGETHER else None
        if budget is None:
            return False
        try:
            outcomes = await self.client(question, answers, budget)
        except RequestRefusedError:
            return False  # the request is probably too long for the server, which does not report its window
        except GaveUpError as failure:
            self._failed(failure, len(answers))
            return True
        self.tally.cut += budget.cut
        for index, outcome in enumerate(outcomes):
            ready(index, outcome, LISTWISE)
        return True

    async def _alone(self, question: str, answer: ShownAnswer, index: int, ready: Ready) -> None:
        budget = budget_for(question, [answer], self.judge, self.window)
        if budget is None:
            self.tally.too_long += 1
            ready(index, None, POINTWISE)
            return
        try:
            try:
                (outcome,) = await self.client(question, [answer], budget)
            except RequestRefusedError:
                if not answer.reasoning or not budget.reasoning_tokens:
                    raise
                budget = PromptBudget(0, budget.max_tokens, True)
                (outcome,) = await self.client(question, [answer], budget)
        except (GaveUpError, RequestRefusedError) as failure:
            self._failed(failure, 1)
            return
        self.tally.cut += budget.cut
        ready(index, outcome, POINTWISE)

    def _failed(self, failure: GaveUpError | RequestRefusedError, count: int) -> None:
        if isinstance(failure, GaveUpError):
            if failure.fault.unreachable:
                raise EndpointError(f"{failure.fault.advice}; the scores so far are kept") from None
            self.tally.failures.append(failure.fault.reason)
        else:
            self.tally.failures.append(str(failure))
        self.tally.unscored += count
