"""Rows of JSON files in unusual forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds import read_records
from faq_tui.core.seeds.formats.base import Record
from faq_tui.core.settings import Seeds

ROWS = [{"question": f"What is {n}?", "answer": str(n)} for n in range(3)]
COLUMNS: dict[str, Any] = {name: [row[name] for row in ROWS] for name in ROWS[0]}
PANDAS = {name: {str(n): value for n, value in enumerate(values)} for name, values in COLUMNS.items()}


def rows_of(tmp_path: Path, value: Any) -> list[Any]:
    (tmp_path / "rows.json").write_text(json.dumps(value))
    return [item.raw for item in read_records(tmp_path, Seeds(path="rows.json")) if isinstance(item, Record)]


@pytest.mark.parametrize("value", [COLUMNS, PANDAS], ids=["lists", "pandas"])
def test_columns_become_rows(tmp_path: Path, value: Any) -> None:
    assert rows_of(tmp_path, value) == ROWS


@pytest.mark.parametrize(
    "value",
    [{"train": ROWS, "test": ROWS}, {"a": [1, 2], "b": [1]}, {"a": {"x": 1}, "b": {"x": 2}}, {"a": 1, "b": 2}],
    ids=["splits", "unequal", "named", "numbers"],
)
def test_other_objects_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match="faq-tui needs one list of seeds"):
        rows_of(tmp_path, value)
