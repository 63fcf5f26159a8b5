"""Notices about sets that should have equal sizes, but do not. Such sets are not compared."""

from __future__ import annotations

from typing import Any

from faq_tui.core.evidence.compare import Unequal, unequal
from faq_tui.core.report.formatting import escape, one_line, plain
from faq_tui.core.run.run import Run


def unequal_notices(run: Run) -> list[dict[str, str]]:
    """One notice {source, message, equal} for each such pair of sets.

    The message is Markdown. `equal` is the unit in which the sizes differ: "samples" or "tokens".
    """
    return [{"source": one.name, "message": _message(one), "equal": one.equal} for one in unequal(run)]


def not_compared(body: dict[str, Any]) -> list[str]:
    """The same notices as sentences without Markdown. `body` is what `document` returns."""
    found = [n for n in body.get("notices", ()) if "equal" in n]
    return [f"{one_line(n['source'])}: {plain(n['message'])}." for n in found]


def _message(one: Unequal) -> str:
    unit = one.equal
    advice = f"match {one.other} to {one.name} instead, or use more seeds"
    return (
        f"It is not compared with {escape(one.other)} at equal {unit}, because it has {one.ours:,} {unit}, and "
        f"{escape(one.other)} has {one.theirs:,}. To compare them, {escape(advice)}"
    )
