"""Check whether the figures of a report match the present settings and inputs of its run."""

from __future__ import annotations

from typing import Any

from faq_tui.core.activations.layer_error import layer_error_limit
from faq_tui.core.base.hashing import digest
from faq_tui.core.benchmarking.plan import wanted
from faq_tui.core.evaluation.identity import VERSION, subjects, texts
from faq_tui.core.evaluation.kinds import kind_of
from faq_tui.core.evaluation.metrics import token_metrics
from faq_tui.core.evaluation.source_answers import source_generation
from faq_tui.core.evaluation.texts import state
from faq_tui.core.run.run import Run
from faq_tui.core.settings.evaluate import as_before
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.stages import all_rows

STAGE = "evaluate"
CHANGED = (
    "The settings or inputs of the stage {stage} have changed since these figures were measured: run the {what} again"
)
UNFINISHED = "The stage evaluate is not finished: some figures may be missing or come from earlier settings"
# Changes of these keys of [evaluate] do not change our own measurements. Benchmarks have separate signatures.
NO_MEASUREMENT = {"batch_size", "bootstrap", "repeats", "repeat_share", "lm_eval", "evalscope", "serve"}


def outdated(run: Run, changed_stage: str | None = None) -> str | None:
    """Say whether figures may come from earlier settings.

    `changed_stage` is what `status.changed_stage` returns: the first stage before the stage evaluate whose settings
    or inputs have changed. Returns a sentence without a full stop, or None if all figures are current.
    """
    row = all_rows(run.store).get(STAGE)
    if row is None:
        return None
    if row.signature != figures_signature(run):
        return CHANGED.format(stage=STAGE, what="stage")
    if changed_stage is not None:
        return CHANGED.format(stage=changed_stage, what="stages")
    return None if row.state == "done" else UNFINISHED


def figures_signature(run: Run) -> str:
    """A hash of everything that the figures depend on: the signature of the stage evaluate."""
    version, measured, where, files, answer_hashes, heldout, layer_errors, *columns = figure_conditions(run)
    more = (layer_errors, [request.signature for request in wanted(run)], *columns)
    models = sorted(subjects(run).items())
    return digest(version, measured, where, files, answer_hashes, models, heldout, *more)


def figure_conditions(run: Run) -> list[Any]:
    """Everything that the measurements of one model depend on, except the model and the benchmarks."""
    settings, target = run.settings.evaluate, run.settings.target
    measured = as_before(settings.model_dump(exclude=NO_MEASUREMENT))
    named = (*settings.perplexity, *settings.word_perplexity, *settings.last_word, *settings.multiple_choice)
    files = [[name, state(run, name)] for name in named]
    answer_hashes = [
        source_generation(run, s) for name, s in run.settings.sources.items() if name in settings.answers
    ]
    heldout = [seed.id for seed in seed_rows.by_role(run.store, "heldout")]
    where = (target.device, target.dtype)
    more = (layer_error_limit(run), *_token_columns(run))
    return [VERSION, measured, where, files, answer_hashes, heldout, *more]


def _token_columns(run: Run) -> list[list[str]]:
    """The names of the columns that metrics of other packages add to the measurements.

    The result is empty if there are no such columns.
    """
    columns = {metric.token_column for text in texts(run) for metric in token_metrics(kind_of(text))}
    return [sorted(columns)] if columns else []
