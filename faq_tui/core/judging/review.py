"""Which of the judge's choices a person may want to look at, and how far the two agree."""

from __future__ import annotations

from collections.abc import Iterable

from faq_tui.core.store.judged import Standing

# A difference of marks that means little: one step of the scale; nats a token; a share of channels; a z-score.
CLOSE = {"llm": 1.0, "likelihood": 0.05, "activation": 0.02, "mix": 0.25}
FILTERS = ("all", "close calls", "disagreements", "truncated or unfit", "overridden")


def admits(name: str, standing: Standing, kind: str) -> bool:
    """True if the filter `name` shows this seed; `kind` is the judge's."""
    match name:
        case "close calls":
            return standing.margin is not None and standing.margin <= CLOSE[kind] + 1e-9
        case "disagreements":
            return standing.override is not None and not agrees(standing)
        case "truncated or unfit":
            return standing.unfit > 0
        case "overridden":
            return standing.override is not None
    return True


def agrees(standing: Standing) -> bool:
    """The person's word is what the judge had said, too."""
    return standing.judged and standing.override is not None and standing.override.candidate_id == standing.judge_pick


def agreement(standings: Iterable[Standing]) -> tuple[int, int]:
    """(overrides that equal the judge's pick, overrides of seeds that were judged)."""
    both = [standing for standing in standings if standing.override is not None and standing.judged]
    return sum(map(agrees, both)), len(both)
