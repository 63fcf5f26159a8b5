"""The stage `report`: write the report to reports/, one file per report format, and the artefacts' model cards.

If a card cannot be written or is missing, the stage still counts as done: `faq-tui push` makes the card again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import subjects, texts, wanted_artefacts
from faq_tui.core.evaluation.kinds import kind_of
from faq_tui.core.evaluation.metrics import metrics_of
from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE
from faq_tui.core.extensions import METRICS
from faq_tui.core.judging.identity import current_picks
from faq_tui.core.model_card.files import write_cards
from faq_tui.core.report import benchmarks, spikes
from faq_tui.core.report.document import SCHEMA, document
from faq_tui.core.report.formats import report_files, write
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, ReportWritten, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.settings.evaluate import as_before
from faq_tui.core.store.measurements import all_measurements
from faq_tui.core.store.stages import StageRow

STAGE = "report"
COMPARED = "against the baseline: "  # the stage's summary begins with this text if there are verdicts
WORDS = (BETTER, LEANS_BETTER, WORSE, LEANS_WORSE, WITHIN_NOISE, SAME, UNKNOWN)


def signature(run: Run) -> str:
    """A hash of everything that the report shows. The hash stays the same if a person confirms a judge's pick."""
    return _signature(run, [digest("picks", _picked(run))])


def holds(run: Run, row: StageRow) -> bool:
    """True if the stage is up to date, although its signature comes from an earlier version of faq-tui.

    The signatures of earlier versions contained the number of stored picks. A signature of an earlier version is
    computed again from the number of picks at the start of the stage. The picked candidates must still be the same as
    at the start of the stage.
    """
    query = "SELECT count(*), max(id) FROM picks WHERE created <= ?"
    stored = tuple(run.store.db.execute(query, (row.started,)).fetchone())
    return row.signature == _signature(run, [stored]) and _picked(run) == _picked(run, row.started)


def _picked(run: Run, until: float = math.inf) -> dict[str, list[tuple[str, int | None]]]:
    """The picked candidate of each seed, for each source. Picks that were stored after `until` are ignored."""
    return {
        name: sorted((seed_id, pick.candidate_id) for seed_id, pick in current_picks(run, name, until).items())
        for name in run.settings.sources
    }


def _signature(run: Run, picks: Sequence[object]) -> str:
    measured = sorted((m.subject, m.text, m.signature) for m in all_measurements(run.store).values())
    artefacts = [[a.name, a.signature, a.same_as, a.samples, a.tokens] for a in wanted_artefacts(run)]
    inputs = (measured, benchmarks.fingerprint(run), spikes.fingerprint(run), artefacts, *picks)
    settings = run.settings.model_dump(exclude={"cluster"})  # a cluster has no effect on results
    settings["evaluate"] = as_before(settings["evaluate"])
    return digest(SCHEMA, settings, sorted(subjects(run).items()), *inputs, *_added_metrics(run))


def _added_metrics(run: Run) -> list[list[str]]:
    """Returns [names], with the names of the metrics that other packages define.

    Returns [] if other packages define no metrics.
    """
    names = {metric.name for text in texts(run) for metric in metrics_of(kind_of(text))} - METRICS.builtin.keys()
    return [sorted(names)] if names else []


def intact(run: Run) -> bool:
    return all(path.is_file() for path in report_files(run))


def execute(context: Context) -> str:
    run = context.run
    context.emit(StageStarted(STAGE, len(report_files(run)), "files"))
    body = document(run)
    for path in write(run, body):
        context.emit(ReportWritten(str(path)))
    for problem in write_cards(run, body):
        context.emit(Note(problem, "warning"))
    mains = {text["name"]: text["metrics"][0] for text in body["texts"]}
    verdicts = [o[mains[text]]["verdict"] for c in body["comparisons"] for text, o in c["texts"].items()]
    listed = [word for word in WORDS if word in verdicts or word in (BETTER, WORSE, WITHIN_NOISE)]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in listed)
    return f"{COMPARED}{counts}" if verdicts else "nothing to compare"
