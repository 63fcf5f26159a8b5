"""Hostile seed files: the stage `seeds` computes their signature, reads them and stores their seeds.

python benchmarks/reliability/seed_files.py [--count 10000] [--seed 0] [--seconds 600] [--commands 40]
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow  # noqa: TID253
import pyarrow.parquet  # noqa: TID253
import zstandard
from campaign import ROOT, main
from mutations import TEXTS, of_bytes, of_json

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import Run
from faq_tui.core.settings import parse_settings
from faq_tui.core.stages import seeds as stage
from faq_tui.core.store import Store
from tests.support.seed_files import write

TOML = """
[target]
model = "embedded"
[seeds]
path = {path}
{more}
"""
KINDS = ("jsonl", "ndjson", "json", "object", "csv", "tsv", "parquet", "txt")
SUFFIX = {"object": "json"}
MORE = (
    *("", "", "", 'on_problem = "skip"', 'on_problem = "skip"', 'encoding = "latin-1"', 'encoding = "utf-16"'),
    *('prompt_field = "messages"', 'answer_field = "answer"', 'encoding = "idna"', 'on_problem = "refuse"'),
)
RECORDS: tuple[list[dict[str, Any]], ...] = (
    [{"id": f"q{n}", "question": f"What is {n}?", "answer": f"It is {n}.", "category": "c"} for n in range(6)],
    [{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": f"u{n}"}]} for n in range(4)],
    [
        {
            "conversations": [
                {"from": "human", "value": f"h{n}"},
                {"from": "gpt", "value": "<think>t</think>g"},
                {"from": "human", "value": "again?"},
            ]
        }
        for n in range(4)
    ],
    [{"instruction": f"Do {n}.", "input": "x", "output": "y"} for n in range(4)],
    [{"prompt": [{"role": "user", "content": [{"type": "text", "text": f"p{n}"}]}], "chosen": "c"} for n in range(4)],
    [{"text": f"<|im_start|>user\nq{n}<|im_end|>\n<|im_start|>assistant\na<|im_end|>"} for n in range(4)],
    [{"question": json.dumps([{"role": "user", "content": f"j{n}"}]), "answer": None, "image": ""} for n in range(4)],
    [
        {"messages": [{"role": "user", "content": f"t{n}"}, {"role": "assistant", "tool_calls": [{"id": "a"}]}]}
        for n in range(4)
    ],
)
CELLS: tuple[Any, ...] = (
    *(datetime(1, 1, 1), datetime(9999, 12, 31), date(1, 1, 1), Decimal("1e30"), b"\xff\xfe", b"", 2**62, -0.0),
    *(float("nan"), float("inf"), [], [[]], {"a": 1}, {"a": {"b": [None]}}, None, True, "x", *TEXTS[:8]),
)
TIMES = ("s", "ms", "us", "ns")


class SeedFiles:
    def __init__(self, work: Path) -> None:
        self.folder = work / "run"
        self.folder.mkdir()
        self.store: Store | None = None
        self.files: list[tuple[str, bytes]] = []
        for number, records in enumerate(RECORDS):
            for kind in KINDS:
                path = work / f"{number}.{SUFFIX.get(kind, kind)}"
                if kind == "txt":
                    path.write_text("\n".join(str(record) for record in records))
                else:
                    write(path, records, kind)
                self.files.append((path.suffix[1:], path.read_bytes()))
        stored = ROOT / "tests/fixtures/run-0ebf15d/seeds.jsonl"
        self.files.append(("jsonl", stored.read_bytes()[:4000]))

    def make(self, dice: random.Random) -> dict[str, bytes]:
        suffix, data = dice.choice(self.files)
        if suffix == "parquet":
            data = _parquet(dice, data)
        elif suffix == "json" and dice.random() < 0.8:
            data = of_json(dice, data)
        elif suffix == "jsonl" and dice.random() < 0.8:
            data = _lines(dice, data)
        elif suffix in ("csv", "tsv") and dice.random() < 0.6:
            data = _cells(dice, data, b"," if suffix == "csv" else b"\t")
        else:
            data = of_bytes(dice, data)
        name = f"seeds.{suffix}"
        if dice.random() < 0.25:
            name, data = _packed(dice, name, data)
        if dice.random() < 0.05:
            other = dice.choice(("jsonl", "json", "csv", "parquet", "txt", "tsv", "jsonl.gz", "parquet.zst"))
            name = f"seeds.{other}"
        return {name: data, "more.txt": dice.choice(MORE).encode()}

    def attempt(self, files: Mapping[str, bytes]) -> ExitCode | None:
        if self.store is None:  # opened in the child process
            self.store = Store(Path(tempfile.mkdtemp(dir=self.folder.parent)) / "faq.db", False)
        (name,) = [name for name in files if name != "more.txt"]
        (self.folder / name).write_bytes(files[name])
        try:
            settings = parse_settings(TOML.format(path=json.dumps(name), more=files["more.txt"].decode()))
            run = Run(self.folder, settings, self.store)
            stage.signature(run)
            stage.execute(Context(run, lambda _event: None, CancelToken(), ""))
        finally:
            (self.folder / name).unlink()
            shutil.rmtree(self.folder / ".cache", ignore_errors=True)
        return None

    def command(self, files: Mapping[str, bytes], folder: Path) -> Sequence[str]:
        (name,) = [name for name in files if name != "more.txt"]
        (folder / name).write_bytes(files[name])
        (folder / "faq.toml").write_text(TOML.format(path=json.dumps(name), more=files["more.txt"].decode()))
        return ["run", str(folder), "--only", "seeds"]


def _lines(dice: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(lines))
        lines[at] = of_json(dice, lines[at]) if lines[at] else dice.choice((b"{}", b"[]", b"1", b"\xff", b"\0"))
    return dice.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n")).join(lines)


def _cells(dice: random.Random, data: bytes, delimiter: bytes) -> bytes:
    rows = [line.split(delimiter) for line in data.split(b"\n")]
    for _ in range(dice.randint(1, 4)):
        row = dice.choice(rows)
        at = dice.randrange(len(row))
        text = dice.choice(TEXTS).encode("utf-8", "surrogatepass")
        row[at] = dice.choice((text, b'"' + text, b'"' + text + b'"', row[at] + b'"', b"", row[at] * 3))
        if dice.random() < 0.2:
            row += [b"x"] * dice.choice((1, 5, 5000))
    return b"\n".join(delimiter.join(row) for row in rows)


def _parquet(dice: random.Random, data: bytes) -> bytes:
    kind = dice.randrange(4)
    if kind == 0:  # the footer holds the schema; its length is before the last four bytes
        (length,) = struct.unpack("<I", data[-8:-4])
        footer = of_bytes(dice, data[-8 - length : -8])
        shown = dice.choice((len(footer), len(footer), 0, 2**31, len(data), length + 1))
        return data[: -8 - length] + footer + struct.pack("<I", shown) + data[-4:]
    if kind == 1:
        return data[:4] + of_bytes(dice, data[4:-4]) + data[-4:]
    if kind == 2:
        return of_bytes(dice, data)
    columns: dict[str, Any] = {"question": ["q1", "q2", "q3"]}
    names = ("answer", "messages", "question", "text", "id", "category", "", "a.b", "\u202e")
    for _ in range(dice.randint(1, 3)):
        columns[dice.choice(names)] = [dice.choice(CELLS)] * 3
    try:
        table = pyarrow.table(columns)
        if dice.random() < 0.5:
            unit = dice.choice(TIMES)
            far = pyarrow.array([dice.choice((2**62, -(2**62), 2**40, 0))] * 3, pyarrow.timestamp(unit))
            table = table.append_column(dice.choice(("time", "question2", "answer2")), far)
        if dice.random() < 0.2:
            repeated = pyarrow.array(["d"] * 3).dictionary_encode()
            table = table.append_column("coded", repeated).append_column("question", repeated)
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink)
        return sink.getvalue()
    except (pyarrow.ArrowException, UnicodeError, OverflowError, ValueError, TypeError):
        return of_bytes(dice, data)


def _packed(dice: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
    if dice.random() < 0.03:
        data += bytes(dice.choice((1 << 20, 64 << 20)))  # a small file that unpacks to a large one
    kind = dice.randrange(6)
    if kind == 0:
        packed, end = gzip.compress(data, 6, mtime=0), "gz"
    elif kind == 1:
        packed, end = bz2.compress(data), "bz2"
    elif kind == 2:
        packed, end = lzma.compress(data, preset=1), "xz"
    elif kind == 3:
        packed, end = zstandard.compress(data), "zst"
    elif kind == 4:
        packed, end = lzma.compress(data, lzma.FORMAT_ALONE, preset=1), "lzma"
    else:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("../../x.jsonl"), data)
        packed, end = sink.getvalue(), "zip"
    if dice.random() < 0.5:
        packed = of_bytes(dice, packed, 2)
    elif dice.random() < 0.3:
        packed += dice.choice((packed, b"\0" * 512, b"rest"))
    return (name if dice.random() < 0.1 else f"{name}.{end}"), packed


if __name__ == "__main__":
    main("Hostile seed files", "seed_files", SeedFiles, 10_000)
