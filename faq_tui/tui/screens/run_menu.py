"""The menu that the key for starting opens: it shows the plan of the run, and asks which part to run."""

from __future__ import annotations

from rich.text import Text

from faq_tui.core.run_plan import RunPlan
from faq_tui.tui.screens.choice import Answer, ChoiceScreen
from faq_tui.tui.stage_marks import plan_in_lines, work_in_words
from faq_tui.tui.widgets.text import LiteralText, plain

EVERYTHING, UNTIL_JUDGE, ONLY, STAY = "everything", "until-judge", "only", "stay"


class RunMenu(ChoiceScreen):
    """Shows the plan, and asks what to run.

    A thread makes the plan, so the menu may open before the plan is ready.
    """

    def __init__(self, plan: RunPlan | None, only: str | None, failure: str = "") -> None:
        """`only` is the stage of the visible pane; None if the pane has no stage.

        `failure` says why the last job failed. The menu shows this reason, because the line of jobs may have no room
        for it.
        """
        self._failure, self._stage = failure, only
        self.only: str | None = None  # the stage that can be run alone now
        super().__init__(self._text_of(plan), self._answers_of(plan))

    def show_plan(self, plan: RunPlan) -> None:
        """Show a new plan, and offer the parts of it that can be run."""
        self._question, before = self._text_of(plan), self._answers
        self._answers = self._answers_of(plan)
        if self._answers == before:
            self.query_one(".question", LiteralText).show(self._question)
        else:
            self.refresh(recompose=True)
            self.call_after_refresh(self.focus_next)

    def _answers_of(self, plan: RunPlan | None) -> tuple[Answer, ...]:
        due = {stage.name for stage in plan.due} if plan is not None else set()
        alone = plan is not None and self._stage in due and plan.can_run_alone(self._stage)
        self.only = self._stage if alone else None
        answers = [Answer("r", EVERYTHING, _everything(plan))]
        if plan is None or plan.until("judge"):
            answers.append(Answer("j", UNTIL_JUDGE, "Run up to judge, so that you can review the picks"))
        if self.only is not None:
            answers.append(Answer("o", ONLY, f"Run only {self.only}"))
        return (*answers, Answer("escape", STAY, "Not now"))

    def _text_of(self, plan: RunPlan | None) -> Text:
        if plan is None:
            text = Text("Looking at the stages …", "dim")
        elif plan.stages:
            text = plan_in_lines(plan)
        else:
            text = Text("The plan cannot be made. `faq-tui status` says why.", "red")
        return text.append_text(plain(f"\n\n{self._failure}", "red")) if self._failure else text


def _everything(plan: RunPlan | None) -> str:
    if plan is None or not plan.stages:
        return "Run all stages that are not done"
    return f"Run {work_in_words(plan.due)}" if plan.due else "Check that all stages are up to date"
