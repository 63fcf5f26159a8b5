"""JSON: one list of seeds, an object that holds one list, or a single conversation."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.seeds.formats.base import Records, SeedFormat
from faq_tui.core.seeds.formats.json_rows import rows_of_document
from faq_tui.core.settings import Seeds


class JsonArray(SeedFormat):
    name = "json"
    title = "JSON"
    help = "One JSON array of objects, or an object that holds one array; its rows are counted from 1."
    suffixes = (".json",)
    unpacks = True

    def records(self, path: Path, settings: Seeds) -> Records:
        return rows_of_document(path, settings)


FORMAT = JsonArray()
