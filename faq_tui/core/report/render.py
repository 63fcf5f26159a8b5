"""The report as text in one of its formats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.report.document import document
from faq_tui.core.report.html.page import page
from faq_tui.core.report.markdown import markdown
from faq_tui.core.run.run import Run

FORMATS = ("md", "json", "html")


def render(run: Run, fmt: str) -> str:
    """The report of what is measured by now. Raises UsageError if that is nothing, or on another format."""
    return render_document(document(run), fmt)


def render_document(body: dict[str, Any], fmt: str) -> str:
    if fmt == "json":
        # ASCII only: what a model wrote cannot reach a terminal as a control character.
        return json.dumps(body, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    if fmt == "html":
        return page(body)
    if fmt == "md":
        return markdown(body)
    raise UsageError(f"no report format {fmt!r}: choose one of {', '.join(FORMATS)}")


def write(run: Run, body: dict[str, Any]) -> Iterator[Path]:
    """Each file once it is there, whole. `body` is what `document` returns."""
    for fmt in FORMATS:
        path = run.reports / f"report.{fmt}"
        with atomic_text(path) as file:
            file.write(render_document(body, fmt))
        yield path
