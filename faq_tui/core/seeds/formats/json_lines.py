"""JSON lines: one JSON value per line."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.seeds.formats.base import Records, SeedFormat
from faq_tui.core.seeds.formats.json_rows import rows_of_lines
from faq_tui.core.settings import Seeds


class JsonLines(SeedFormat):
    name = "jsonl"
    title = "JSON lines"
    help = "One JSON object per line: a chat, a question with its answer, or a text."
    suffixes = (".jsonl", ".ndjson")
    unpacks = True

    def records(self, path: Path, settings: Seeds) -> Records:
        return rows_of_lines(path, settings)


FORMAT = JsonLines()
