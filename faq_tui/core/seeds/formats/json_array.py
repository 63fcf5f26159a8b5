"""JSON files: a list of seeds, an object that contains one list of seeds, or a single conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds.formats.base import CHAT_FIELDS, Record, Records, SeedFormat, one_line
from faq_tui.core.settings import Seeds


class JsonArray(SeedFormat):
    name = "json"
    title = "JSON"
    help = "One JSON array of objects, or an object that holds one array; its rows are counted from 1."
    suffixes = (".json",)

    def records(self, path: Path, settings: Seeds) -> Records:
        del settings
        for row, raw in enumerate(_rows(path), 1):
            yield Record(row, raw)


def _rows(path: Path) -> list[Any]:
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not what its ending says: not UTF-8 text (byte {error.start + 1})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not what its ending says: not JSON ({one_line(error)})") from None
    if isinstance(data, dict) and any(isinstance(data.get(name), list) for name in CHAT_FIELDS):
        return [data]  # the file is one conversation
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise UsageError(f"{path} holds an object with {len(lists)} lists: faq-tui needs one list of seeds")
        data = lists[0]
    if not isinstance(data, list):
        raise UsageError(f"{path} holds no list of seeds")
    return data


FORMAT = JsonArray()
