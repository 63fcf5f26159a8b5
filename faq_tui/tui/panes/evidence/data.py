"""What the pane shows of the evidence, read on threads from a connection of their own, and the report they write."""

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
from faq_tui.core.store.measurements import all_items

VIEWS = ("table", "scatter", "items", "run")
MATCHES = ("both", "samples", "tokens")


@dataclass(frozen=True)
class EvidenceViewState:
    """`left` and `right` are artefacts whose items are read side by side."""

    view: str = VIEWS[0]
    match: str = MATCHES[0]
    every: bool = False  # metric, or the main one of each text
    page: int = 0  # of the table's columns, where they have no room side by side
    paper: bool | None = None  # its figures; None: where there is room beside
    left: str = ""
    right: str = ""

    def fitted(self, found: LoadedEvidence) -> EvidenceViewState:
        """The same where it is possible; else the first comparison's two sides, or what there is."""
        names = [row.name for row in found.models]
        if not names:
            return replace(self, left="", right="")
        compared = next(iter(found.evidence.comparisons), None) if found.evidence else None
        bases = [row.name for row in found.models if row.set_name == BASELINE]
        left = compared.baseline if compared else (bases or names)[0]
        right = compared.ours if compared else names[-1]
        return replace(
            self,
            left=self.left if self.left in names else left,
            right=self.right if self.right in names else right,
        )

    def next_model(self, found: LoadedEvidence, side: str) -> EvidenceViewState:
        names = [row.name for row in found.models]
        if not names:
            return self
        shown = self.left if side == "left" else self.right
        chosen = names[(names.index(shown) + 1) % len(names)]
        return replace(self, left=chosen) if side == "left" else replace(self, right=chosen)


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


class Reader:
    """Reads one at a time; what changes meanwhile is read right after."""

    def __init__(self, folder: Path, tell: Callable[[LoadedEvidence], None]) -> None:
        """`tell` is called on the reading thread, whenever something has changed."""
        self._folder, self._tell = folder, tell
        self._lock = threading.Lock()
        self._reading = self._again = False
        self._known: object = None

    @property
    def busy(self) -> bool:
        return self._reading

    def look(self) -> None:
        """Read what is there now, if it is not what was read last."""
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
            found = read(self._folder, self._known)
            if found is not None:
                self._known = found.state
                self._tell(found)


def export(run: Run, tell: Callable[[str, bool], None]) -> None:
    """Write the report on a thread; `tell` hears there in a sentence where it is, or why it failed (then True)."""
    threading.Thread(target=_export, args=(run, tell), name="export", daemon=True).start()


def _export(run: Run, tell: Callable[[str, bool], None]) -> None:
    try:
        if run.store.read_only:
            raise UsageError("this is a replay: nothing is written")
        with open_run(run.folder, read_only=True) as opened:
            paths = list(write(opened, document(opened)))
        tell(f"Wrote {', '.join(path.name for path in paths)} to {paths[0].parent}", False)
    except (FaqError, OSError) as error:
        tell(str(error), True)
