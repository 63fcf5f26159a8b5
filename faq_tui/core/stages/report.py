"""Write the evidence to reports/report.md and reports/report.json."""

from __future__ import annotations

from faq_tui.core.evaluation.identity import subjects, wanted_artefacts
from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.events import ReportWritten, StageStarted
from faq_tui.core.evidence import BETTER, WITHIN_NOISE, WORSE
from faq_tui.core.files import atomic_text
from faq_tui.core.report.document import SCHEMA, document
from faq_tui.core.report.render import FORMATS, render_document
from faq_tui.core.run import Run
from faq_tui.core.stage import Context
from faq_tui.core.store.artefacts import all_measurements
from faq_tui.core.store.hashing import digest

STAGE = "report"


def signature(run: Run) -> str:
    measured = sorted((m.subject, m.text, m.signature) for m in all_measurements(run.store).values())
    artefacts = [[a.name, a.signature, a.same_as, a.samples, a.tokens] for a in wanted_artefacts(run)]
    picks = tuple(run.store.db.execute("SELECT count(*), max(id) FROM picks").fetchone())
    return digest(SCHEMA, run.settings.model_dump(), sorted(subjects(run).items()), measured, artefacts, picks)


def intact(run: Run) -> bool:
    return all((run.reports / f"report.{fmt}").is_file() for fmt in FORMATS)


def execute(context: Context) -> str:
    run = context.run
    context.emit(StageStarted(STAGE, len(FORMATS), "files"))
    body = document(run)
    for fmt in FORMATS:
        path = run.reports / f"report.{fmt}"
        with atomic_text(path) as file:
            file.write(render_document(body, fmt))
        context.emit(ReportWritten(str(path)))
    verdicts = [o[KL]["verdict"] for c in body["comparisons"] for o in c["texts"].values()]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in (BETTER, WORSE, WITHIN_NOISE))
    return f"KL against the baseline: {counts}" if verdicts else "nothing to compare"
