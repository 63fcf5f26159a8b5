"""The summary of a judging in words."""

from __future__ import annotations

from typing import Any

from faq_tui.core.judging.probe import LEAST_AUC


def in_words(judging: dict[str, Any]) -> list[str]:
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
