"""Marks that follow from other marks of the whole run: less the length, and mixed. Stored, so that panes need not
compute them; computed anew whenever the stage runs, since every further candidate moves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faq_tui.core.judging.control import controlled
from faq_tui.core.judging.identity import column_id, judge_id, shown_id
from faq_tui.core.judging.mix import mixed
from faq_tui.core.run import Run
from faq_tui.core.settings import MIX
from faq_tui.core.store import picks as rows

Groups = Sequence[Sequence[int]]


def derive(run: Run, groups: Groups) -> None:
    """`groups`: ids of the fit candidates of one seed and source each, over all sources of the run."""
    judge = run.settings.judge
    for kind in judge.kinds():
        if shown_id(run, kind) != column_id(run, kind):
            _control(run, kind, groups)
    if judge.picks_by == MIX:
        _mix(run, groups)


def _control(run: Run, kind: str, groups: Groups) -> None:
    identity = column_id(run, kind)
    ours = {i for group in groups for i in group}
    raw = {i: mark for i, mark in rows.scores_of(run.store, identity).items() if i in ours}
    details = rows.details_of(run.store, identity)
    values = {i: mark for i, mark in raw.items() if mark is not None}
    lengths = {i: int(details[i].get("tokens", 0)) for i in values}
    marks, slope = controlled(values, lengths, groups)
    found: dict[int, tuple[float | None, str, Any]] = {}
    for i, mark in raw.items():
        if mark is None:
            found[i] = (None, "no mark to take the length from", {"raw": None, "slope": None})
        else:
            about = {"raw": round(mark, 6), "slope": None if slope is None else round(slope, 6)}
            found[i] = (round(marks[i], 6), _parts(kind, mark, details[i]), {**details[i], **about})
    rows.put_derived(run.store, kind, shown_id(run, kind), found)


def _parts(kind: str, mark: float, details: dict[str, Any]) -> str:
    """The reason that is shown with a controlled mark."""
    if kind == "likelihood":
        return f"mean log-probability {mark:.3f} over {details.get('tokens', 0)} tokens, less the effect of length"
    return f"drives {100 * mark:.0f}% of the target's outlier channels, less the effect of length"


def _mix(run: Run, groups: Groups) -> None:
    weights = run.settings.judge.weights()
    marks = {
        kind: {i: m for i, m in rows.scores_of(run.store, shown_id(run, kind)).items() if m is not None}
        for kind in weights
    }
    found = {
        i: (
            None if score is None else round(score, 6),
            _sum(weights, zs),
            {"z": {k: round(z, 6) for k, z in zs.items()}},
        )
        for i, (score, zs) in mixed(weights, marks, groups).items()
    }
    rows.put_derived(run.store, MIX, judge_id(run), found)


def _sum(weights: dict[str, float], zs: dict[str, float]) -> str:
    parts = [f"{weights[kind]:g} × {zs[kind]:+.2f} {kind}" if kind in zs else f"{kind} unscored" for kind in weights]
    return "mix: " + ", ".join(parts)
