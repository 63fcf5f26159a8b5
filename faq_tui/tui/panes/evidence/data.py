"""Load the evidence on a thread, hold the state of the view, and export the report."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.evaluation import environment
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import LABELLED, kind_of
from faq_tui.core.evidence import Evidence, ModelRow, collect, measured
from faq_tui.core.paper.tables import Cell
from faq_tui.core.report.document import document, title
from faq_tui.core.report.formats import write
from faq_tui.core.report.outdated import outdated
from faq_tui.core.report.paper import paper
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.settings import BASELINE
from faq_tui.core.stats.sums import Sums
from faq_tui.core.status import changed_stage
from faq_tui.core.store.measurements import all_items

OVERVIEW, TABLE = "overview", "table"
VIEWS = (OVERVIEW, TABLE, "scatter", "items", "run")
BOTH = "both"
EQUALS = ("samples", "tokens")
MATCHES = ("tokens", BOTH, "samples")
# The pane adds to these two sentences when the stage runs.
NOTHING = "Nothing is measured yet. The stage evaluate measures the unquantized model and every artefact"
STALE = (
    "The stored measurements belong to another model, other texts or other settings. The stage evaluate repeats the "
    "outdated measurements"
)
STATE = """
SELECT (SELECT count(*) FROM measurements), (SELECT max(created) FROM measurements),
       (SELECT count(*) FROM artefacts), (SELECT max(created) FROM artefacts),
       (SELECT count(*) FROM heldout_items), (SELECT max(created) FROM benchmark_results),
       (SELECT max(created) FROM benchmark_problems), (SELECT count(*) FROM benchmark_problems)
"""


@dataclass(frozen=True)
class EvidenceViewState:
    """What the user has chosen to see. The items of the artefacts `left` and `right` are shown side by side.

    If the user has not chosen a view, the pane shows the overview, or the table if no models are compared. If the
    user has not chosen a kind of comparison, the pane shows the comparisons at equal tokens, or all comparisons if
    there are none at equal tokens.
    """

    view: str = TABLE
    match: str = BOTH
    chosen_view: bool = False
    chosen_match: bool = False
    every: bool = False  # True to show all metrics, not only the main metric of each text
    page: int = 0  # number of the visible page of columns, if not all columns fit
    paper: bool | None = None  # True shows the paper's figures, False hides them, None shows them if they fit
    left: str = ""
    right: str = ""

    def fitted(self, loaded: LoadedEvidence) -> EvidenceViewState:
        """Adapt the user's choices to the loaded evidence.

        If the model `left` or `right` no longer exists, the models of the first comparison replace it.
        """
        made = loaded.evidence.comparisons if loaded.evidence else ()
        fair = any(comparison.equal == "tokens" for comparison in made)
        view = self.view if self.chosen_view else OVERVIEW if made else TABLE
        match = self.match if self.chosen_match else "tokens" if fair else BOTH
        return replace(self, view=view, match=match)._with_models(loaded)

    def _with_models(self, loaded: LoadedEvidence) -> EvidenceViewState:
        names = [row.name for row in loaded.models]
        if not names:
            return replace(self, left="", right="")
        compared = next(iter(loaded.evidence.comparisons), None) if loaded.evidence else None
        bases = [row.name for row in loaded.models if row.set_name == BASELINE]
        left = compared.baseline if compared else (bases or names)[0]
        right = compared.ours if compared else names[-1]
        return replace(
            self,
            left=self.left if self.left in names else left,
            right=self.right if self.right in names else right,
        )

    def next_model(self, loaded: LoadedEvidence, side: str) -> EvidenceViewState:
        names = [row.name for row in loaded.models]
        if not names:
            return self
        shown = self.left if side == "left" else self.right
        chosen = names[(names.index(shown) + 1) % len(names)]
        return replace(self, left=chosen) if side == "left" else replace(self, right=chosen)


@dataclass(frozen=True, eq=False)
class LoadedEvidence:
    """Everything that the pane shows. If there is no evidence, `why` gives the reason."""

    state: object = None  # changes whenever the database or the settings change
    evidence: Evidence | None = None
    why: str = ""
    model: str = ""  # the target's name in the settings
    sums: dict[str, dict[str, Sums]] = field(default_factory=dict)  # `sums[folder][text]`: an artefact's sums
    bodies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # maps a labelled text to its items
    about: dict[str, str] = field(default_factory=dict)  # maps a text to its description
    report: dict[str, Any] = field(default_factory=dict)  # the values of the report
    paper: tuple[Cell, ...] = ()
    paper_known: bool = False  # True if the paper has results for this model

    @property
    def benchmarks(self) -> dict[str, Any]:
        """The report's section on benchmarks."""
        return dict(self.report.get("benchmarks", {}))

    @property
    def models(self) -> tuple[ModelRow, ...]:
        """The artefacts."""
        return self.evidence.rows[1:] if self.evidence else ()

    def title(self, text: str) -> str:
        return title(text, kind_of(text))

    def window(self, text: str) -> int | None:
        """Tokens per window of a prose text; None for other texts."""
        return next((t.window for t in self.evidence.texts if t.name == text), None) if self.evidence else None

    def sums_of(self, name: str, text: str) -> Sums | None:
        """The stored measurements of an artefact, or of the unquantized model, on a text."""
        same = next((row.same_as for row in self.models if row.name == name), None)
        return self.sums.get(same or name, {}).get(text)


def read(folder: Path, known: object = None) -> LoadedEvidence | None:
    """Load the evidence of the run in `folder`. Return None if nothing has changed since the state `known`."""
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
        report=document(run, evidence, changed_stage(run)),
        paper=tuple(Cell(**cell) for cell in published["cells"]),
        paper_known=published["known"],
    )


class Reader:
    """Loads the evidence on a thread, one load at a time.

    If something changes during a load, another load follows.
    """

    def __init__(self, folder: Path, on_change: Callable[[LoadedEvidence], None]) -> None:
        """The thread calls `on_change` with new evidence if the evidence has changed."""
        self._folder, self._on_change = folder, on_change
        self._lock = threading.Lock()
        self._reading = self._again = False
        self._known: object = None

    @property
    def busy(self) -> bool:
        return self._reading

    def look(self) -> None:
        """Load the current evidence if the database has changed since the last load."""
        with self._lock:
            self._again = True
            if self._reading:
                return
            self._reading = True
        threading.Thread(target=self._work, name="evidence", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._again:
                    self._reading = False
                    return
                self._again = False
            loaded = read(self._folder, self._known)
            if loaded is not None:
                self._known = loaded.state
                self._on_change(loaded)


def export(run: Run, on_done: Callable[[str, bool], None]) -> None:
    """Write the report on a thread.

    The thread then calls `on_done` with two arguments: a sentence for the screen, and True if the export failed.
    """
    threading.Thread(target=_export, args=(run, on_done), name="export", daemon=True).start()


def _export(run: Run, on_done: Callable[[str, bool], None]) -> None:
    try:
        if run.store.read_only:
            raise UsageError("this is a replay, which writes no files")
        with open_run(run.folder, read_only=True) as opened:
            paths = list(write(opened, document(opened, changed_stage=changed_stage(opened))))
        on_done(f"Wrote {', '.join(path.name for path in paths)} to {paths[0].parent}", False)
    except (FaqError, OSError) as error:
        on_done(str(error), True)
