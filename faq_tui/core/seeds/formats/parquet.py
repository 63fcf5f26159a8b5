"""Parquet files, which are read in batches of rows."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds.formats.base import Record, Records, SeedFormat, one_line
from faq_tui.core.settings import Seeds

BATCH = 1024  # rows per batch


class Parquet(SeedFormat):
    name = "parquet"
    title = "Parquet"
    help = "A Parquet file with one seed per row; rows are counted from 1."
    suffixes = (".parquet",)

    def records(self, path: Path, settings: Seeds) -> Records:
        import pyarrow
        import pyarrow.parquet

        del settings
        try:
            file = pyarrow.parquet.ParquetFile(path)
            row = 0
            for batch in file.iter_batches(batch_size=BATCH):
                for raw in batch.to_pylist():
                    row += 1
                    yield Record(row, raw)
        # pyarrow raises a ValueError if a text is not UTF-8, and an OverflowError if a time stamp is too large for
        # Python.
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            raise UsageError(f"{path} does not match its file extension: {one_line(error)}") from None


FORMAT = Parquet()
