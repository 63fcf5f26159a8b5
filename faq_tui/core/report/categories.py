"""The section on the categories of the held-out seeds."""

from __future__ import annotations

from typing import Any

from faq_tui.core.base.text import counted
from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.report import formatting
from faq_tui.core.report.answer import compared_sets
from faq_tui.core.report.formatting import escape
from faq_tui.core.report.tables import table
from faq_tui.core.stats.bootstrap import MIN_ITEMS

SHOWN = 60  # number of rows shown; report.json holds all rows
NOTE = (
    "A set can help on one kind of question and hurt on another. The intervals are not adjusted for the number of "
    f"rows. Categories with fewer than {MIN_ITEMS} answers are left out."
)


def shown_categories(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The outcomes at equal tokens; all outcomes if there are none. The key `sets` names the compared sets."""
    sets = {(c["recipe"], c["source"], c["equal"]): compared_sets(c) for c in body.get("comparisons", ())}
    found = [{**one, "sets": sets[one["recipe"], one["source"], one["equal"]]} for one in body.get("by_category", ())]
    return [one for one in found if one["equal"] == "tokens"] or found


def category_lines(body: dict[str, Any]) -> list[str]:
    """The KL on the held-out answers of each category, as lines of Markdown. `body` is what `document` returns."""
    shown = shown_categories(body)
    if not shown:
        return []
    titles = {text["name"]: text["title"] for text in body["texts"]}
    several = len({one["text"] for one in shown}) > 1
    head = ["Recipe", "Set", *(["Text"] if several else []), "Category", "Answers", "Baseline", "Set's"]
    rows = [
        [
            *(escape(one["recipe"]), escape(one["sets"])),
            *([escape(titles[one["text"]])] if several else []),
            *(escape(one["category"]), str(one["items"])),
            *(formatting.value(KL.name, one[side]) for side in ("baseline", "ours")),
            f"{formatting.change(KL.name, one['difference']['value'])} "
            f"{formatting.interval(KL.name, one['difference'])}",
        ]
        for one in shown[:SHOWN]
    ]
    left = len(shown) - len(rows)
    more = [f"- report.json lists {counted(left, 'more row')}."] if left else []
    title = f"## {formatting.metric_title(KL.name)} by category of the held-out seeds"
    head.append("Difference, 95% interval")
    return [title, "", *table(head, rows, left=4 if several else 3), "", f"- {NOTE}", *more, ""]
