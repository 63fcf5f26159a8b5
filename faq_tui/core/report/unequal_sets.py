"""Notices about sets that should have equal sizes, but have not. Such sets are not compared."""

from __future__ import annotations

from faq_tui.core.evidence.compare import Unequal, unequal
from faq_tui.core.report.formatting import escape
from faq_tui.core.run.run import Run


def unequal_notices(run: Run) -> list[dict[str, str]]:
    """One notice {source, message} for each such pair of sets. The message is Markdown."""
    return [{"source": one.name, "message": _message(one)} for one in unequal(run)]


def _message(one: Unequal) -> str:
    unit = one.equal
    advice = f"match {one.other} to {one.name} instead, or use more seeds"
    return (
        f"It is not compared with {escape(one.other)} at equal {unit}, because it has {one.ours:,} {unit}, and "
        f"{escape(one.other)} has {one.theirs:,}. To compare them, {escape(advice)}"
    )
