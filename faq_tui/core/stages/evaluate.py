"""The stage `evaluate`: measure the unquantized target and every artefact on held-out text.

Each result is stored as soon as it is measured.
"""

from __future__ import annotations

import json
from typing import Any

from faq_tui.core.activations.layer_error import measure_layer_errors
from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.text import counted
from faq_tui.core.evaluation.identity import texts
from faq_tui.core.evaluation.item_texts import keep_words
from faq_tui.core.evaluation.plan import make_spec
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.models.target import find_target
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.report.outdated import figures_signature
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.stages import evaluate_benchmarks
from faq_tui.core.stages.evaluate_on_cluster import measure_on_cluster
from faq_tui.core.stages.measured import MeasurementListener
from faq_tui.core.worker import run_for_job

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
    if run.settings.cluster.address is None:
        measured = _measure(context, spec, tokenizer, "evaluate.json")
    else:
        measured = measure_on_cluster(context, target, tokenizer, spec)
    measure_layer_errors(context, target, tokenizer)
    benchmarks = evaluate_benchmarks.execute(context, target)
    new = counted(measured, "new measurement")
    return f"{counted(len(spec.subjects), 'model')} on {', '.join(texts(run))}: {new}{benchmarks}"


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
    return counted(measured, "new measurement")


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
        hear = MeasurementListener(context, spec, tokenizer)
        run_for_job(context, "evaluate", {"order": str(order)}, hear)
    finally:
        order.unlink(missing_ok=True)
    keep_words(run, hear.with_answers(), tokenizer)
    return hear.measured
