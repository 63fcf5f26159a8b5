"""Items that quantization turned from right to wrong, or from wrong to right."""

from __future__ import annotations

from faq_tui.core.evaluation.identity import UNQUANTIZED, wanted_artefacts
from faq_tui.core.evaluation.kinds import CHOICES, LABELLED, kind_of
from faq_tui.core.evaluation.metrics import Sums
from faq_tui.core.evidence.model import Flips
from faq_tui.core.run import Run


def all_flips(run: Run, measured: dict[str, dict[str, Sums]]) -> tuple[Flips, ...]:
    """Of every artefact on every labelled text, also where nothing flipped."""
    return tuple(
        _flips(artefact.name, text, measured[artefact.folder][text], target)
        for text, target in measured[UNQUANTIZED].items()
        if kind_of(text) in LABELLED
        for artefact in wanted_artefacts(run)
        if text in measured.get(artefact.folder, {})
    )


def _flips(model: str, text: str, ours: Sums, target: Sums) -> Flips:
    now, before = ours.columns["correct"] > 0, target.columns["correct"] > 0
    lost = tuple(int(n) for n in (before & ~now).nonzero()[0])
    won = tuple(int(n) for n in (now & ~before).nonzero()[0])
    choices = {}
    if kind_of(text) == CHOICES:
        chosen, earlier = ours.columns["choice"], target.columns["choice"]
        choices = {number: (int(earlier[number]), int(chosen[number])) for number in (*lost, *won)}
    return Flips(model, text, lost, won, choices)
