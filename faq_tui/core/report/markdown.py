"""The document as Markdown."""

from __future__ import annotations

from typing import Any

from faq_tui.core.report.answer import answer
from faq_tui.core.report.escape import escape
from faq_tui.core.report.ran import ran
from faq_tui.core.report.tables import comparisons, models


def markdown(body: dict[str, Any]) -> str:
    """`body` is what `document` returns."""
    title = f"# Quantizing {escape(body['run']['target']['name'])}"
    lines = [title, "", *answer(body), *models(body), *comparisons(body), *ran(body)]
    return "\n".join(lines).rstrip() + "\n"
