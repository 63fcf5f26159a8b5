"""All that the pane `evidence` shows, read at once on a thread from a connection of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.evaluation import environment
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import LABELLED, kind_of
from faq_tui.core.evidence import Evidence, ModelRow, collect, measured
from faq_tui.core.paper.tables import Cell
from faq_tui.core.report.document import document, title
from faq_tui.core.report.outdated import outdated
from faq_tui.core.report.paper import paper
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.measurements import all_items

NOTHING = (
    "Nothing is measured yet: the figures come from the stage evaluate, which measures the unquantized model "
    "and every artefact."
)
STALE = (
    "What was measured is of another model, other texts or other settings than these: r measures again what is out "
    "of date."
)
STATE = """
SELECT (SELECT count(*) FROM measurements), (SELECT max(created) FROM measurements),
       (SELECT count(*) FROM artefacts), (SELECT max(created) FROM artefacts),
       (SELECT count(*) FROM heldout_items), (SELECT max(created) FROM benchmark_results),
       (SELECT max(created) FROM benchmark_problems), (SELECT count(*) FROM benchmark_problems)
"""


@dataclass(frozen=True)
class LoadedEvidence:
    """`evidence` is None where there is none, and `why` says so."""

    state: object = None  # what changes when anything here does
    evidence: Evidence | None = None
    why: str = ""
    model: str = ""  # the target, as the settings name it
    sums: dict[str, dict[str, Sums]] = field(default_factory=dict)  # folder to text
    bodies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # labelled text to its items in words
    about: dict[str, str] = field(default_factory=dict)  # text to what it is
    report: dict[str, Any] = field(default_factory=dict)  # as data
    paper: tuple[Cell, ...] = ()
    paper_known: bool = False  # whether the paper has this model

    @property
    def benchmarks(self) -> dict[str, Any]:
        """As the report has them."""
        return dict(self.report.get("benchmarks", {}))

    @property
    def models(self) -> tuple[ModelRow, ...]:
        """The artefacts."""
        return self.evidence.rows[1:] if self.evidence else ()

    def title(self, text: str) -> str:
        return title(text, kind_of(text))

    def window(self, text: str) -> int | None:
        """Tokens of a window, as prose was measured."""
        return next((t.window for t in self.evidence.texts if t.name == text), None) if self.evidence else None

    def sums_of(self, name: str, text: str) -> Sums | None:
        """Of an artefact, or of the unquantized model, by its name."""
        same = next((row.same_as for row in self.models if row.name == name), None)
        return self.sums.get(same or name, {}).get(text)


def read(folder: Path, known: object = None) -> LoadedEvidence | None:
    """None if nothing has changed since `known`, the state of what was read before."""
    try:
        with open_run(folder, read_only=True) as run:
            state = tuple(run.store.db.execute(STATE).fetchone()), outdated(run), run.settings
            return None if state == known else _read(run, state)
    except (FaqError, OSError) as error:
        return None if known == str(error) else LoadedEvidence(str(error), why=str(error))


def _read(run: Run, state: object) -> LoadedEvidence:
    if not run.store.db.execute("SELECT count(*) FROM measurements").fetchone()[0]:
        return LoadedEvidence(state, why=NOTHING)
    try:
        sums = measured(run)
        if UNQUANTIZED not in sums:
            return LoadedEvidence(state, why=STALE)
        evidence = collect(run)
    except FaqError as error:
        return LoadedEvidence(state, why=str(error))
    texts = [text.name for text in evidence.texts]
    published = paper(run)
    return LoadedEvidence(
        state=state,
        evidence=evidence,
        model=run.settings.target.model,
        sums=sums,
        bodies={text: all_items(run.store, text) for text in texts if kind_of(text) in LABELLED},
        about=environment.read_environment(run).get("texts", {}),
        report=document(run, evidence),
        paper=tuple(Cell(**cell) for cell in published["cells"]),
        paper_known=published["known"],
    )
