"""Plain text files with one question per line."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds.formats.base import Record, Records, SeedFormat, decoded_lines
from faq_tui.core.settings import Seeds


class PlainText(SeedFormat):
    name = "txt"
    title = "plain text"
    help = "One question per line, in UTF-8."
    suffixes = (".txt",)
    unpacks = True

    def records(self, path: Path, settings: Seeds) -> Records:
        for item in decoded_lines(path, settings.encoding):
            if isinstance(item, Record) and "\0" in item.raw:
                raise UsageError(f"{path} line {item.line} holds NUL bytes, so it is not a text file")
            yield item


FORMAT = PlainText()
