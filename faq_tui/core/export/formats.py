"""The export formats. Each format is an object that writes a calibration set. See docs/extending/export-format.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.text import sanitize
from faq_tui.core.extensions import Extension

if TYPE_CHECKING:
    from faq_tui.core.settings import Recipe


@dataclass(frozen=True)
class CalibrationSet:
    """A calibration set, read from the file of JSON lines that the stage assemble wrote."""

    name: str
    path: Path

    def samples(self) -> Iterator[dict[str, Any]]:
        """Yield the samples in the order of the file. `core.assembly.sample.FIELDS` lists the fields of a sample.

        Raises FaqError at the first damaged line.
        """
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    sample = json.loads(line)
                    if not isinstance(sample["text"], str):
                        raise TypeError
                except (ValueError, KeyError, TypeError, RecursionError):
                    raise self._damaged(number) from None
                yield sample

    def rows(self) -> Iterator[list[int]]:
        """Yield the token ids of each sample. Raises FaqError at the first damaged line."""
        for number, sample in enumerate(self.samples(), 1):
            ids = sample.get("input_ids")
            if not isinstance(ids, list) or not ids or not all(type(one) is int for one in ids):
                raise self._damaged(number)
            yield ids

    def _damaged(self, number: int) -> FaqError:
        return FaqError(f"{self.path} is damaged in line {number}: delete the file, and run `assemble` again")

    def check_not_empty(self) -> None:
        """Raise FaqError if the file has no sample. The stage assemble never writes such a file."""
        with self.path.open("rb") as file:
            if not any(line.strip() for line in file):
                raise FaqError(f"{self.path} has no samples: delete the file, and run `assemble` again")

    def check(self) -> None:
        """Read the whole file once before the output is written. Raises FaqError if the file is damaged."""
        for _ in self.samples():
            pass


class ExportFormat(Extension):
    """A format for calibration sets: one file, or a stream. `FolderFormat` is for several files.

    `name` is the value of `--format`. `help` is one sentence for the help of the command.
    """

    suffix: str  # the usual suffix of its files, such as ".jsonl"
    binary: bool = False  # True if the output is not text, so that it must not be printed on a terminal

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        """Write the whole set. `out` may be a file, a pipe or standard output, so do not call its `seek`.

        Raises FaqError if the set's file is damaged. A format that can check this first leaves `out` empty.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ExportJob:
    """What a folder for another quantizer needs beside the set. `recipe` is None if the format needs no recipe."""

    target: str  # local folder or hub id of the unquantized model
    recipe: Recipe | None


class FolderFormat(ExportFormat):
    """A format that is a folder of several files.

    `methods` names the quantization methods whose recipes the format can hold; empty if it needs no recipe.
    """

    methods: ClassVar[tuple[str, ...]] = ()

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        del calibration, out
        raise UsageError(f"the format {self.name} is a folder: give --output FOLDER")

    def write_folder(self, calibration: CalibrationSet, job: ExportJob, folder: Path) -> None:
        """Write the files into the empty folder `folder`. Raises FaqError if the set's file is damaged."""
        raise NotImplementedError


LONGEST_REASON = 200  # number of characters of a library's error that are shown
BATCH = 256  # number of samples in a row group of the Parquet file; samples of 2048 tokens make about 10 MB


class JsonLinesExport(ExportFormat):
    name, title, suffix = "jsonl", "JSON lines", ".jsonl"
    help = "The file of the set itself: one JSON object per line with the documented fields."

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        with calibration.path.open("rb") as file:
            shutil.copyfileobj(file, out)


class ParquetExport(ExportFormat):
    name, title, suffix = "parquet", "Parquet", ".parquet"
    help = "A Parquet file with the same fields as columns."
    binary = True

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        """Write the file. The samples are read twice, because the type of a column depends on all samples.

        Raises FaqError if a field has values that no column can hold.
        """
        import pyarrow

        try:
            self._write(calibration, out)
        except (pyarrow.ArrowException, OverflowError, UnicodeError) as error:
            why = sanitize(str(error), LONGEST_REASON)
            raise FaqError(
                f"{calibration.path} has values that Parquet cannot hold ({why}): choose the format jsonl"
            ) from None

    def _write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
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
    help = "The text of each sample, as the target reads it; one JSON string per line."

    def write(self, calibration: CalibrationSet, out: IO[bytes]) -> None:
        calibration.check()
        for sample in calibration.samples():
            out.write((json.dumps(sample["text"], ensure_ascii=False) + "\n").encode(errors="replace"))


JSONL, PARQUET, TEXT = JsonLinesExport(), ParquetExport(), TextExport()
