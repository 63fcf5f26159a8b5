"""How the judging stands: every kind's marks, how far the order decided, and how the judge did when it was tested."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from faq_tui.core.judging import probe as probing
from faq_tui.core.judging.identity import column_id, judge_id, shown_id, usable_groups
from faq_tui.core.judging.orders import TURNS, bias_of
from faq_tui.core.judging.probe import LEAST_AUC
from faq_tui.core.run.run import Run
from faq_tui.core.store import picks as rows
from faq_tui.core.store.judge_log import ProbeRow, probe_of, reply_counts


def judging_of(run: Run) -> dict[str, Any]:
    """JSON-able. `orders` and `probe` are null without an LLM judge, or before it has done so."""
    judge = run.settings.judge
    kinds = judge.kinds()
    llm = column_id(run, "llm") if "llm" in kinds else None
    probe = probe_of(run.store, llm) if llm else None
    groups = usable_groups(run)
    ours = {i for group in groups for i in group}
    return {
        "picks_by": judge.picks_by,
        "weights": judge.weights(),
        "judge": judge_id(run),
        "columns": [_column(run, kind, ours) for kind in kinds],
        "mode": judge.mode if llm else None,
        "replies": reply_counts(run.store, llm) if llm else None,
        "orders": _orders(run, llm, groups) if llm else None,
        "probe": _probe(probe) if probe else None,
    }


def _column(run: Run, kind: str, ours: set[int]) -> dict[str, Any]:
    """Over the run's present candidates."""
    identity, shown = column_id(run, kind), shown_id(run, kind)
    marks = {i: mark for i, mark in rows.scores_of(run.store, identity).items() if i in ours}
    known = [mark for mark in marks.values() if mark is not None]
    details = rows.details_of(run.store, shown)
    slope = next((d["slope"] for i, d in details.items() if i in ours and d.get("slope") is not None), None)
    return {
        "kind": kind,
        "judge": identity,
        "scored": len(known),
        "unscored": len(marks) - len(known),
        "mean": round(fmean(known), 6) if known else None,
        "low": min(known, default=None),
        "high": max(known, default=None),
        "length_control": shown != identity,
        "length_slope": slope,
        "picks": kind in run.settings.judge.weights(),
    }


def _orders(run: Run, judge: str, groups: list[list[int]]) -> dict[str, Any] | None:
    """Over the seeds whose candidates were all marked in both orders."""
    details = rows.details_of(run.store, judge)
    seen = []
    for group in groups:
        marks = [details.get(i, {}).get("orders", []) for i in group]
        if len(group) > 1 and all(len(m) == TURNS and all(mark is not None for _, mark in m) for m in marks):
            seen.append(marks)
    if not seen:
        return None
    bias = bias_of(seen)
    return {
        "seeds": bias.groups,
        "changed": bias.changed,
        "changed_share": round(bias.changed / bias.groups, 4),
        "tied": bias.tied,
        "mean_by_place": [round(mark, 4) for mark in bias.by_place],
    }


def _probe(probe: ProbeRow) -> dict[str, Any]:
    return {
        "auc": probe.auc,
        "low": probe.low,
        "high": probe.high,
        "warning": probing.is_low(probe),
        "marks": probe.details["marks"],
        "unread": probe.details["unread"],
        "mean": probe.details["mean"],
        "auc_against": probe.details["auc"],
    }


def judging_in_words(judging: dict[str, Any]) -> list[str]:
    """How far the order of the candidates decided, and how the judge did when it was tested; a part each.

    `judging` is what `judging_of` returns.
    """
    found = []
    if orders := judging["orders"]:
        places = ", ".join(f"{mark:.2f}" for mark in orders["mean_by_place"])
        found.append(
            f"the order changed the winner of {orders['changed']} of {orders['seeds']} seeds, {orders['tied']} ended "
            f"in a tie, mean mark by place {places}"
        )
    if probe := judging["probe"]:
        if probe["auc"] is None:
            found.append("no mark of the judge could be read when it was tested")
        else:
            below = f", below {LEAST_AUC}: its marks say little" if probe["warning"] else ""
            found.append(
                f"the judge tells real answers from garbage and misplaced ones with AUC {probe['auc']:.2f} "
                f"[{probe['low']:.2f}, {probe['high']:.2f}]{below}"
            )
    return found
