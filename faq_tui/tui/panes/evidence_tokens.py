"""The words of one opened item, token by token, and how far two models depart from the unquantized one there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faq_tui.core.evaluation.kinds import LABELLED, kind_of
from faq_tui.core.evaluation.token_kl import decode_token_kl
from faq_tui.core.run.run import Run
from faq_tui.core.store.measurements import one_item, token_kl_of
from faq_tui.tui.panes.evidence_found import LoadedEvidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HIGHEST, HIGH = 0.95, 0.85  # shares of both models' tokens that lie below what is marked
LEGEND = "bold red: highest 5% of KL · yellow: next 10% · underlined: other top-1"
UNMARKED = "The tokens of these models are not stored: they were measured by an older faq-tui."


@dataclass(frozen=True)
class Words:
    """Of one opened item; empty where it is labelled or was measured before words were kept."""

    body: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]] = field(default_factory=dict)  # by model
    levels: tuple[float, float] = (float("inf"), float("inf"))  # KL from which a token is highest, or high

    @property
    def pieces(self) -> list[str]:
        return list(self.body.get("pieces", []))

    @property
    def legend(self) -> str:
        """What the marks mean: shares are of both models' tokens, top-1 is the likeliest token."""
        return LEGEND if self.marks else UNMARKED


def words_of(run: Run, found: LoadedEvidence, names: tuple[str, str], text: str, number: int) -> Words:
    """Read from the database: one item, and the tokens of two models."""
    import numpy as np

    if kind_of(text) in LABELLED:
        return Words()
    body, marks = one_item(run.store, text, number), {}
    for name in names:
        folder = next((row.same_as or row.name for row in found.models if row.name == name), None)
        sums = found.sums_of(name, text)
        blob = None if folder is None else token_kl_of(run.store, folder, text)
        if blob is not None and sums is not None:
            marks[name] = decode_token_kl(blob, sums.columns["tokens"].tolist(), number)
    kl = np.concatenate([np.zeros(0), *(values for values, _ in marks.values())])
    levels = (float(np.quantile(kl, HIGHEST)), float(np.quantile(kl, HIGH))) if kl.size else Words().levels
    return Words(body, marks, levels)
