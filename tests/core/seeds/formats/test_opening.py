"""What a seed file is, by its first bytes."""

from __future__ import annotations

import io
import json
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import zstandard

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds import read_records
from faq_tui.core.seeds.formats.opening import opened
from faq_tui.core.settings import Seeds

ROWS = "".join(json.dumps({"question": f"What is {n}?"}) + "\n" for n in range(3))


def problem_of(tmp_path: Path, name: str, data: bytes) -> str:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        list(read_records(tmp_path, Seeds(path=name)))
    return str(caught.value)


def in_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("rows.jsonl")
        entry.size = len(ROWS)
        archive.addfile(entry, io.BytesIO(ROWS.encode()))
    return out.getvalue()


def in_workbook() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("xl/workbook.xml", "<x/>")
    return out.getvalue()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.json"])
def test_a_tar_archive_under_another_name(tmp_path: Path, name: str) -> None:
    assert "is a tar archive: unpack it" in problem_of(tmp_path, name, in_tar())


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.tsv"])
def test_a_workbook_under_another_name(tmp_path: Path, name: str) -> None:
    assert "it is an Excel or other Office file; save it as CSV" in problem_of(tmp_path, name, in_workbook())


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_named(tmp_path: Path, encoding: str) -> None:
    assert f'set seeds.encoding = "{encoding}"' in problem_of(tmp_path, "rows.jsonl", ROWS.encode(encoding))
    found = list(read_records(tmp_path, Seeds(path="rows.jsonl", encoding=encoding)))
    assert len(found) == 3


def test_a_large_piece_is_read_in_linear_time(tmp_path: Path) -> None:
    """A few kB of zstd unpack to one piece of 64 MB, which is read in parts of 128 kB."""
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(zstandard.compress(bytes(64 << 20)))
    began, count = time.process_time(), 0
    with opened(path) as file:
        while part := file.read(1 << 17):
            count += len(part)
    assert count == 64 << 20 and time.process_time() - began < 1.5
