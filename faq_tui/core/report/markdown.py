"""The document as Markdown: the answer first, then every table and list."""

from __future__ import annotations

from typing import Any

from faq_tui.core.report.answer import details
from faq_tui.core.report.benchmarks import section
from faq_tui.core.report.categories import category_lines
from faq_tui.core.report.flips import flip_lines
from faq_tui.core.report.forest import picture
from faq_tui.core.report.formatting import escape
from faq_tui.core.report.headline import verdict
from faq_tui.core.report.paper import paper_lines
from faq_tui.core.report.repeats import draw_lines
from faq_tui.core.report.run_section import run_lines
from faq_tui.core.report.spikes import spike_lines
from faq_tui.core.report.tables import comparisons, models


def markdown(body: dict[str, Any]) -> str:
    """The report as Markdown. `body` is what `document` returns."""
    title = f"# Quantizing {escape(body['run']['target']['name'])}"
    lines = [title, "", *verdict(body), *picture(body), *draw_lines(body), *details(body), *rest(body)]
    return "\n".join(lines).rstrip() + "\n"


def rest(body: dict[str, Any]) -> list[str]:
    """The sections below the answer, as lines of Markdown."""
    lines = [*models(body), *comparisons(body), *category_lines(body), *flip_lines(body), *spike_lines(body)]
    return [*lines, *paper_lines(body), *section(body), *run_lines(body)]
