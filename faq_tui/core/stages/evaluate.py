"""The stage `evaluate`: measure the unquantized target and every artefact on held-out text.

Each result is stored as soon as it is measured.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

from faq_tui.core.activations.layer_error import measure_layer_errors
from faq_tui.core.base.files import atomic_text
from faq_tui.core.evaluation import environment
from faq_tui.core.evaluation.identity import evaluation_hash, texts, wanted_artefacts
from faq_tui.core.evaluation.item_texts import keep_words
from faq_tui.core.evaluation.kinds import kind_of
from faq_tui.core.evaluation.metrics import metrics_in
from faq_tui.core.evaluation.plan import make_spec
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.models.target import find_target
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.report.outdated import figures_signature
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import MeasurementReady, Note, StageProgress, StageStarted
from faq_tui.core.stages import evaluate_benchmarks
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.measurements import HeldoutAnswer, Measurement, add_heldout, add_measurement, heldout
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

STAGE = "evaluate"
signature = figures_signature


def execute(context: Context) -> str:
    run = context.run
    target = find_target(run, lambda text: context.emit(Note(text)))
    tokenizer = load_tokenizer(target)
    spec = make_spec(context, target, tokenizer)
    if not spec.texts and not spec.answers:  # only public benchmarks are measured
        measure_layer_errors(context, target, tokenizer)
        return evaluate_benchmarks.execute(context, target).removeprefix("; ")
    measured = _measure(context, spec, tokenizer, "evaluate.json")
    measure_layer_errors(context, target, tokenizer)
    benchmarks = evaluate_benchmarks.execute(context, target)
    return f"{len(spec.subjects)} models on {', '.join(texts(run))}: {measured} new measurements{benchmarks}"


def measure_one(context: Context, subject: str) -> str:
    """Measure the model `subject` on all held-out texts, and its layer errors. Returns a summary.

    `subject` is "unquantized" or a folder under models/. Benchmarks are not measured. Other processes may measure
    other models meanwhile.
    """
    run = context.run
    target = find_target(run, lambda text: context.emit(Note(text)))
    tokenizer = load_tokenizer(target)
    spec = make_spec(context, target, tokenizer).only(subject)
    measured = 0
    if spec.texts or spec.answers:
        measured = _measure(context, spec, tokenizer, f"evaluate-{subject}.json")
    measure_layer_errors(context, target, tokenizer, subject)
    return f"{measured} new measurements"


def _measure(context: Context, spec: Spec, tokenizer: Any, name: str) -> int:
    """Run the worker. Returns the number of new measurements.

    `name` is the name of the file in the run's cache that passes `spec` to the worker.
    """
    run = context.run
    keep_words(run, spec, tokenizer)
    order = run.cache / name
    with atomic_text(order) as file:
        json.dump(spec.to_json(), file)
    try:
        hear = _Listener(context, spec, tokenizer)
        run_worker(
            "evaluate", {"order": str(order)}, hear, context.cancel, run.log(context.job), without_keys(run.settings)
        )
    finally:
        order.unlink(missing_ok=True)
    keep_words(run, hear.with_answers(), tokenizer)
    return hear.measured


class _Listener:
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

    def on_answer(self, seed_id: str, prompt_ids: list[int], answer_ids: list[int]) -> None:
        text = self.tokenizer.decode(answer_ids, skip_special_tokens=True)
        answer = HeldoutAnswer(seed_id, tuple(prompt_ids), tuple(answer_ids), text)
        add_heldout(self.context.run.store, self.source_hash, answer)

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
