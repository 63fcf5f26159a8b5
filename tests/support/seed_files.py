"""Files of seeds, written in a format by its name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet


def as_csv(records: list[dict[str, Any]], delimiter: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def write(path: Path, records: list[dict[str, Any]], kind: str) -> None:
    texts: dict[str, Callable[[], str]] = {
        "jsonl": lambda: "".join(json.dumps(record) + "\n" for record in records),
        "ndjson": lambda: "\ufeff" + "\r\n".join(json.dumps(record) for record in records),
        "json": lambda: json.dumps(records, indent=1),
        "object": lambda: json.dumps({"version": 1, "data": records}),
        "csv": lambda: as_csv(records, ","),
        "tsv": lambda: as_csv(records, "\t"),
    }
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    else:
        path.write_text(texts[kind](), encoding="utf-8")
