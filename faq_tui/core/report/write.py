"""The report as files: reports/report.md, report.json and report.html."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faq_tui.core.files import atomic_text
from faq_tui.core.report.render import FORMATS, render_document
from faq_tui.core.run import Run


def write(run: Run, body: dict[str, Any]) -> Iterator[Path]:
    """Each file once it is there, whole. `body` is what `document` returns."""
    for fmt in FORMATS:
        path = run.reports / f"report.{fmt}"
        with atomic_text(path) as file:
            file.write(render_document(body, fmt))
        yield path
