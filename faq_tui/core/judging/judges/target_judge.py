"""The base class of judges that score with the target itself.

A worker process loads the target. No server is needed.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faq_tui.core.base.files import atomic_text
from faq_tui.core.chat.render import render_answered
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.judging.judges.base import Item, Judge, OnScore, Score
from faq_tui.core.models.target import find_target
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.run.run import Run
from faq_tui.core.worker import run_for_job


class TargetJudge(Judge):
    """Scores candidates by a task of the worker process. Candidates are rendered in the target's chat template."""

    task: str  # the worker's task; it sends one `score` message for each item
    needs_target = True
    length_matters = True

    def score_all(self, context: Context, items: Sequence[Item], on_score: OnScore) -> None:
        run = context.run
        target = find_target(run, lambda text: context.emit(Note(text)))
        template = Template(load_tokenizer(target))
        candidates = {candidate.id: candidate for _, candidate in items}
        path = run.cache / f"{self.name}.jsonl"
        _write_items(path, template, items, on_score)
        further = self.further_files(run, template)

        def on_message(message: dict[str, Any]) -> None:
            if message["kind"] == "score":
                on_score(candidates[int(message["id"])], self.score_of(message))

        spec = {**target.spec, "items": str(path), **{name: str(file) for name, file in further.items()}}
        run_for_job(context, self.task, spec, on_message)
        for file in (path, *further.values()):
            file.unlink(missing_ok=True)

    def further_files(self, run: Run, template: Template) -> dict[str, Path]:  # noqa: ARG002
        """Write further files that the task needs. Returns their paths; each key is a field of the task's spec."""
        return {}

    @abstractmethod
    def score_of(self, message: Mapping[str, Any]) -> Score:
        """The score from one `score` message of the worker."""

    def parts_before_control(self, shown: list[str], details: Mapping[str, Any]) -> str:
        """Join the judge's name, the phrases in `shown` and, if it is stored, the score before length control."""
        if details.get("slope") is not None:
            shown = [*shown, f"{details['raw']:.2f} before length control"]
        return f"{self.name}: {', '.join(shown)}" if shown else ""


def _write_items(path: Path, template: Template, items: Iterable[Item], on_score: OnScore) -> None:
    """Write one line of JSON for each candidate: id, input_ids, and the token spans of reasoning and answer.

    A candidate that the template refuses gets no score.
    """
    with atomic_text(path) as file:
        for seed, candidate in items:
            try:
                rendered = render_answered(template, seed.messages, candidate.reasoning, candidate.answer)
            except NotAssembledError as refusal:
                on_score(candidate, Score(None, f"cannot be assembled: {refusal}"))
                continue
            spans = {"reasoning": rendered.reasoning, "answer": rendered.answer}
            file.write(json.dumps({"id": candidate.id, "input_ids": rendered.ids, "spans": spans}) + "\n")
