"""faq-tui's own export formats. None holds a set in memory: each reads its file a sample or a batch at a time."""

from __future__ import annotations

import json
import shutil
from itertools import islice
from typing import IO, Any

from faq_tui.core.export.base import CalibrationSet, ExportFormat

BATCH = 256  # samples of a row group: at 2048 tokens each some ten megabytes


class JsonLinesExport(ExportFormat):
    name, title, suffix = "jsonl", "JSON lines", ".jsonl"
    help = "The set's own file: a JSON object a line, with the contract's fields."

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        with calibration.path.open("rb") as file:
            shutil.copyfileobj(file, out)


class ParquetExport(ExportFormat):
    name, title, suffix = "parquet", "Parquet", ".parquet"
    help = "The same fields as columns."
    binary = True

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        """Read the file twice: a column's type follows from all samples, and the first ones may have null in it."""
        import pyarrow
        import pyarrow.parquet

        schema = pyarrow.schema([])
        samples = calibration.samples()
        while batch := list(islice(samples, BATCH)):
            schema = pyarrow.unify_schemas(
                [schema, pyarrow.Table.from_pylist(batch).schema], promote_options="permissive"
            )
        samples = calibration.samples()
        sink: Any = pyarrow.PythonFile(out, mode="w")
        with pyarrow.parquet.ParquetWriter(sink, schema) as writer:
            while batch := list(islice(samples, BATCH)):
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))


class TextExport(ExportFormat):
    name, title, suffix = "text", "texts alone", ".txt"
    help = "The samples as the target reads them, each as one JSON string a line, so that newlines in it stay in it."

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        calibration.check()
        for sample in calibration.samples():
            out.write((json.dumps(sample["text"], ensure_ascii=False) + "\n").encode())


JSONL, PARQUET, TEXT = JsonLinesExport(), ParquetExport(), TextExport()
