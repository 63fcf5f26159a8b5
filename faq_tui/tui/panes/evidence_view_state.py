"""Which part of the evidence the pane shows, apart from any widget."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faq_tui.core.settings import BASELINE
from faq_tui.tui.panes.evidence_found import LoadedEvidence

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
