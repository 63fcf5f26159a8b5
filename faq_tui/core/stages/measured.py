"""Store the results of a worker that evaluates models, and emit events about them."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Any

from faq_tui.core.evaluation import environment
from faq_tui.core.evaluation.identity import evaluation_hash, wanted_artefacts
from faq_tui.core.evaluation.kinds import kind_of
from faq_tui.core.evaluation.metrics import metrics_in
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import MeasurementReady, StageProgress, StageStarted
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.measurements import HeldoutAnswer, Measurement, add_heldout, add_measurement, heldout

STAGE = "evaluate"


class MeasurementListener:
    """Stores the worker's results and emits events about them."""

    def __init__(self, context: Context, spec: Spec, tokenizer: Any) -> None:
        self.context = context
        self.spec = spec
        self.tokenizer = tokenizer
        self.source_hash = evaluation_hash(context.run)
        self.started = False
        self.measured = 0

    def __call__(self, message: dict[str, Any]) -> None:
        body = {name: value for name, value in message.items() if name != "kind"}
        getattr(self, f"on_{message['kind']}")(**body)

    def with_answers(self) -> Spec:
        """The worker's job description, together with the answers that the worker has already generated."""
        stored = heldout(self.context.run.store, self.source_hash)
        answers = [
            replace(answer, ids=list(stored[answer.seed_id].answer_ids)) if answer.seed_id in stored else answer
            for answer in self.spec.answers
        ]
        return replace(self.spec, answers=answers)

    def on_environment(self, **body: Any) -> None:
        environment.write_environment(self.context.run, self.spec, body)

    def on_plan(self, total: int, done: int, already: int) -> None:
        if self.started:
            self.context.emit(StageProgress(STAGE, done, total))
        else:
            self.context.emit(StageStarted(STAGE, total, "tokens", already))
        self.started = True

    def on_progress(self, done: int, total: int, detail: str) -> None:
        self.context.emit(StageProgress(STAGE, done, total, detail))

    def on_answers(self, answers: list[dict[str, Any]]) -> None:
        batch = [
            HeldoutAnswer(
                answer["seed_id"],
                tuple(answer["prompt_ids"]),
                tuple(answer["ids"]),
                self.tokenizer.decode(answer["ids"], skip_special_tokens=True),
            )
            for answer in answers
        ]
        add_heldout(self.context.run.store, self.source_hash, *batch)

    def on_measurement(
        self,
        subject: str,
        text: str,
        signature: str,
        items: dict[str, list[float]],
        token_kl: str | None = None,
        token_entropy: str | None = None,
    ) -> None:
        run = self.context.run
        kl, entropy = (None if blob is None else b64decode(blob) for blob in (token_kl, token_entropy))
        add_measurement(run.store, Measurement(subject, text, signature, items, kl, entropy))
        self.measured += 1
        sharing = [artefact.name for artefact in wanted_artefacts(run) if artefact.folder == subject]
        for name in sharing or [subject]:
            # the metric `flips` is left out, because it compares two models
            for metric in metrics_in(kind_of(text), items):
                self.context.emit(MeasurementReady(name, text, metric.name, metric.value_of(Sums.of(items))))
