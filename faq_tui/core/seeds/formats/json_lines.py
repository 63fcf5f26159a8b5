"""JSON Lines files, which have one JSON value per line."""

from __future__ import annotations

import json
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds.formats.base import Problem, Record, Records, SeedFormat, decoded_lines, one_line
from faq_tui.core.settings import Seeds

BROKEN_AT_FIRST = 20  # if the first so many lines are all broken, the file is not JSON Lines


class JsonLines(SeedFormat):
    name = "jsonl"
    title = "JSON lines"
    help = "A JSON object a line: a chat, a question with its answer, or a text."
    suffixes = (".jsonl", ".ndjson")

    def records(self, path: Path, settings: Seeds) -> Records:
        del settings
        good, broken = 0, 0
        for item in decoded_lines(path):
            if isinstance(item, Problem):
                yield item
                continue
            try:
                raw = json.loads(item.raw)
            except (ValueError, RecursionError) as error:
                broken += 1
                if not good and broken > BROKEN_AT_FIRST:
                    break  # the error below is raised
                yield Problem(item.line, f"not JSON ({one_line(error)})")
                continue
            if not good and not broken and isinstance(raw, list):
                raise UsageError(f"{path} holds one JSON array, not a JSON object a line: name it .json")
            good += 1
            yield Record(item.line, raw)
        if broken and not good:
            raise UsageError(f"{path} is not what its ending says: none of its first {broken} lines is JSON")


FORMAT = JsonLines()
