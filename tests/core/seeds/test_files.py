"""Packed and misnamed files, folders, patterns and encodings."""

from __future__ import annotations

import builtins
import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from faq_tui.core.base.errors import UsageError
from faq_tui.core.run.events import Note, SeedSkipped
from faq_tui.core.seeds.formats import opening
from faq_tui.core.settings import Seeds
from faq_tui.core.stages import seeds as stage
from tests.support.seed_stage import Made

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


def lines(*numbers: int) -> bytes:
    return "".join(json.dumps({"question": f"q{n}", "answer": f"ä{n}"}) + "\n" for n in numbers).encode()


def parquet(path: Path, *numbers: int) -> bytes:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"question": f"q{n}"} for n in numbers]), path)
    return path.read_bytes()


def questions(folder: Path, **seeds: Any) -> list[str]:
    made = Made(folder, **seeds)
    made.go()
    found = [seed.question for seed in made.seeds()]
    made.run.store.close()
    return sorted(found)


CONTENT: dict[str, bytes] = {
    "jsonl": lines(1, 2),
    "json": b'[{"question": "q1"},\n {"question": "q2"}]',
    "csv": b"question,answer\nq1,a\nq2,a\n",
    "txt": b"q1\nq2\n",
}


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("kind", [*CONTENT, "parquet"])
def test_packed_files_of_every_kind(tmp_path: Path, packing: str, kind: str) -> None:
    content = parquet(tmp_path / "plain", 1, 2) if kind == "parquet" else CONTENT[kind]
    (tmp_path / f"s.{kind}.{packing}").write_bytes(PACK[packing](content))
    assert questions(tmp_path, path=f"s.{kind}.{packing}") == ["q1", "q2"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("packed.jsonl", gzip.compress(lines(1, 2))),
        ("unpacked.jsonl.gz", lines(1, 2)),
        ("no_suffix", lines(1, 2)),
        ("packed_without_suffix", lzma.compress(lines(1, 2))),
        ("only.gz", gzip.compress(b'[{"question": "q1"}, {"question": "q2"}]')),
        ("two_members.jsonl.gz", gzip.compress(lines(1)) + gzip.compress(lines(2))),
        ("lines.json", b"\xef\xbb\xbf" + lines(1, 2)),
        ("lines.csv", lines(1, 2)),
        ("lines.parquet", lines(1, 2)),
        ("list.jsonl", b'[{"question": "q1"}, {"question": "q2"}]'),
        ("indented.ndjson", b'[\n  {"question": "q1"},\n  {\n"question": "q2"}\n]\n'),
        ("object.jsonl", b'{\n"version": 1,\n"data": [{"question": "q1"}, {"question": "q2"}]}\n'),
        ("one_after_the_other.json", b'{\n"question": "q1"\n}\n{\n"question": "q2"\n}\n'),
        ("semicolons.csv", b"question;answer\nq1;a, b\nq2;c\n"),
        ("tabs.csv", b"question\tanswer\nq1\ta, b\nq2\tc\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_misnamed_files_are_read_as_what_they_are(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert questions(tmp_path, path=name) == ["q1", "q2"]


def test_a_table_with_the_name_of_lines(tmp_path: Path) -> None:
    parquet(tmp_path / "s.jsonl", 1, 2)
    assert questions(tmp_path, path="s.jsonl") == ["q1", "q2"]


def test_a_list_of_turns_is_one_chat(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a"}]
    (tmp_path / "s.json").write_text(json.dumps(chat))
    assert questions(tmp_path, path="s.json") == ["q1"]


def test_the_list_of_rows_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"features": [1], "rows": [{"row": {"question": "q1"}}]}))
    with pytest.raises(UsageError, match=r"2 lists.*seeds\.fields"):
        Made(tmp_path / "a", path=str(tmp_path / "s.json")).go()
    assert questions(tmp_path, path="s.json", fields={"rows": "rows"}) == ["q1"]


def test_a_long_list_is_read_in_pieces(tmp_path: Path) -> None:
    rows = [{"question": f"q{n} " + "ä" * 700} for n in range(4000)]
    (tmp_path / "s.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    assert len(questions(tmp_path, path="s.json")) == 4000


ARCHIVE = b"PK\x03\x04" + b"\0" * 30


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.jsonl.gz", gzip.compress(lines(*range(500)))[:-300], "is not a complete gzip file"),
        ("s.jsonl.xz", lzma.compress(lines(*range(500)))[:-30], "is not a complete xz file"),
        ("s.jsonl.zst", PACK["zst"](lines(*range(500)))[:40] + b"garbage" * 9, "is not a complete zstd file"),
        ("s.zip", ARCHIVE, "it is a zip archive; unpack it"),
        ("s.json", b"Rar!\x1a\x07\x00", "it is a RAR archive; unpack it"),
        ("s.tar.gz", gzip.compress(b"\0" * 257 + b"ustar" + b"\0" * 250), "is a tar archive: unpack it"),
        ("s.txt", "q1\n".encode("utf-16"), r'in UTF-16.*set seeds.encoding = "utf-16"'),
        ("s.json", "[]".encode("utf-32"), r'set seeds.encoding = "utf-32"'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        Made(tmp_path, path=name).go()
    assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)


def test_a_zip_file_of_python_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.jsonl", "w") as archive:
        archive.writestr("s.jsonl", lines(1))
    with pytest.raises(UsageError, match="zip archive"):
        Made(tmp_path, path="s.jsonl").go()


@pytest.mark.parametrize("packing", PACK)
def test_a_file_that_grows_out_of_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    monkeypatch.setattr(opening, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(opening, "MOST_GROWTH", 20)
    (tmp_path / f"s.txt.{packing}").write_bytes(PACK[packing]((b"a" * 1023 + b"\n") * (1 << 13)))
    with pytest.raises(UsageError, match="grows to more than 20 times its size"):
        Made(tmp_path, path=f"s.txt.{packing}").go()


def test_without_zstandard_a_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *further: Any) -> Any:
        if name == "zstandard":
            raise ImportError(name)
        return real(name, *further)

    (tmp_path / "s.jsonl.zst").write_bytes(PACK["zst"](lines(1)))
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install zstandard.*zstd -d"):
        Made(tmp_path, path="s.jsonl.zst").go()


# ---- folders and patterns


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    (folder / "b").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (folder / "1.jsonl").write_bytes(lines(1))
    (folder / "2.jsonl.gz").write_bytes(gzip.compress(lines(2, 1)))
    (folder / "b" / "3.csv").write_bytes(b"question\nq3\n")
    (folder / "LICENSE.txt").write_text("no question\n")
    (folder / "README.md").write_text("# no question\n")
    (folder / "dataset_infos.json").write_text("{}")
    (folder / ".cache" / "4.jsonl").write_bytes(lines(4))
    return folder


@pytest.mark.parametrize(
    ("name", "origins"),
    [
        ("shards", ["shards/1.jsonl:1", "shards/2.jsonl.gz:1", "shards/b/3.csv:2"]),
        ("shards/", ["shards/1.jsonl:1", "shards/2.jsonl.gz:1", "shards/b/3.csv:2"]),
        ("shards/*.jsonl*", ["shards/1.jsonl:1", "shards/2.jsonl.gz:1"]),
        ("./shards/**/*.csv", ["shards/b/3.csv:2"]),
        ("shar?s/[13].jsonl", ["shards/1.jsonl:1"]),
    ],
)
def test_folders_and_patterns(shards: Path, name: str, origins: list[str]) -> None:
    made = Made(shards.parent, path=name)
    made.go()
    assert sorted(seed.origin for seed in made.seeds()) == origins
    skipped = [(event.path, event.line, event.reason) for event in made.events if isinstance(event, SeedSkipped)]
    repeated = ("shards/2.jsonl.gz", 2, "repeats line 1 of shards/1.jsonl")
    assert skipped == ([repeated] if len(origins) > 1 else [])


def test_a_changed_file_of_a_folder_makes_the_stage_stale(shards: Path) -> None:
    for name in ("shards", "shards/*.jsonl"):
        made = Made(shards.parent, path=name)
        before = stage.signature(made.run)
        assert stage.signature(made.run) == before
        (shards / "1.jsonl").write_bytes(lines(5, 6))
        assert stage.signature(made.run) != before
        (shards / "1.jsonl").write_bytes(lines(1))
        made.run.store.close()


def test_of_several_splits_the_one_of_the_settings_is_read(tmp_path: Path) -> None:
    for n, name in enumerate(("train-0.jsonl", "test-0.jsonl", "dev.jsonl"), 1):
        (tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / "d" / name).write_bytes(lines(n))
    assert questions(tmp_path, path="d") == ["q1"]
    assert questions(tmp_path, path="d", split="validation") == ["q3"]
    with pytest.raises(UsageError, match=r"no file of the split 'extra': set seeds\.split"):
        Made(tmp_path, path="d", split="extra").go()


@pytest.mark.parametrize("name", ["none/*.jsonl", "*.parquet", "a/**/b?.csv"])
def test_a_pattern_without_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no seed file matches"):
        Made(tmp_path, path=name).go()


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "s[1].jsonl").write_bytes(lines(1))
    assert questions(tmp_path, path="s[1].jsonl") == ["q1"]


# ---- encodings


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize(
    ("kind", "text"),
    [("txt", "Qué?\nWie groß?\n"), ("csv", "question\nQué?\nWie groß?\n"), ("json", '["Qué?", "Wie groß?"]')],
)
def test_an_encoding_named_in_the_settings(tmp_path: Path, encoding: str, kind: str, text: str) -> None:
    (tmp_path / f"s.{kind}").write_bytes(text.encode(encoding))
    assert questions(tmp_path, path=f"s.{kind}", encoding=encoding) == ["Qué?", "Wie groß?"]


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv"])
def test_lines_in_another_encoding_are_counted_and_named(tmp_path: Path, kind: str) -> None:
    rows = {
        "txt": "one\nQué?\n",
        "jsonl": '{"question": "one"}\n{"question": "Qué?"}\n',
        "csv": "question\none\nQué?\n",
    }
    (tmp_path / f"s.{kind}").write_bytes(rows[kind].encode("latin-1"))
    made = Made(tmp_path, path=f"s.{kind}")
    assert "(1 broken skipped)" in made.go()
    notes = [event.message for event in made.events if isinstance(event, Note)]
    assert any("1 line is not UTF-8" in note and 'seeds.encoding, such as "latin-1"' in note for note in notes)


@pytest.mark.parametrize("name", ["no-such", "rot13", "base64", "idna", "punycode"])
def test_no_such_encoding(name: str) -> None:
    with pytest.raises(ValueError, match="no text encoding of this name"):
        Seeds(path="x", encoding=name)


def test_text_that_is_not_in_the_named_encoding(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_bytes(b"\xff\xff\xff")
    with pytest.raises(UsageError, match="contains no usable"):
        Made(tmp_path, path="s.txt", encoding="utf-8-sig").go()
    with pytest.raises(UsageError, match="is not text in ascii: set another"):
        Made(tmp_path, path="s.txt", encoding="ascii").go()
