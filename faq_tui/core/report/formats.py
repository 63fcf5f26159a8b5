"""The formats of the report, and functions that write the report in these formats.

Other modules of the report are imported only when a report is written, so that `faq-tui report --help` is fast.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.files import atomic_text
from faq_tui.core.extensions import REPORTS, Extension

if TYPE_CHECKING:
    from faq_tui.core.run.run import Run


class ReportFormat(Extension):
    """A format of the report.

    `name` is the value of `--format`. `help` is one sentence for the help of the command.
    """

    suffix: str  # suffix of its file in `reports/`, such as ".md"

    def render(self, body: dict[str, Any]) -> str:
        """The whole report as text.

        `body` is the result of `core.report.document.document`. The file report.json holds the same data.
        """
        raise NotImplementedError


class Markdown(ReportFormat):
    name, title, suffix = "md", "Markdown", ".md"
    help = "The answer in words, followed by every table. The file is also readable as plain text."

    def render(self, body: dict[str, Any]) -> str:
        from faq_tui.core.report.markdown import markdown

        return markdown(body)


class JsonDocument(ReportFormat):
    name, title, suffix = "json", "JSON", ".json"
    help = "All numbers and their intervals; for programs that read the report."

    def render(self, body: dict[str, Any]) -> str:
        # ASCII only, so that model text cannot reach a terminal as a control character.
        return json.dumps(body, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


class Html(ReportFormat):
    name, title, suffix = "html", "HTML", ".html"
    help = "One page with plots. It has no scripts and loads nothing from a network."

    def render(self, body: dict[str, Any]) -> str:
        from faq_tui.core.report.html.page import page

        return page(body)


MARKDOWN, JSON, HTML = Markdown(), JsonDocument(), Html()


def render(run: Run, name: str, changed_stage: str | None = None) -> str:
    """The report in the format `name`. `changed_stage` is described in `outdated`.

    Raises UsageError if nothing is measured, or if the format is unknown.
    """
    from faq_tui.core.report.document import document

    return render_document(document(run, changed_stage=changed_stage), name)


def render_document(body: dict[str, Any], name: str) -> str:
    """Render `body`, which `document` returns, in the format `name`. Raises UsageError if the format is unknown."""
    report_format: ReportFormat = REPORTS.get(name)
    try:
        return report_format.render(body)
    except Exception as error:
        if name in REPORTS.builtin:
            raise
        raise REPORTS.failure(name, error) from error


def write(run: Run, body: dict[str, Any]) -> Iterator[Path]:
    """Write the report in every format, and yield each file's path once it is complete."""
    for path, name in zip(report_files(run), REPORTS.names(), strict=True):
        text = render_document(body, name)
        with atomic_text(path) as file:
            file.write(text)
        yield path


def report_files(run: Run) -> list[Path]:
    """The files that `write` creates."""
    return [run.reports / f"report{report_format.suffix}" for report_format in REPORTS.all()]
