"""Seeds from every kind of file and shape; whatever is wrong is told with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import UsageError
from faq_tui.core.seeds import Problem, Record, read_records
from faq_tui.core.settings import Seeds
from tests.support.seed_files import write
from tests.support.seed_stage import PER_EXAMPLE, Made

# ---- every format x every shape

SHAPES: dict[str, Callable[[int], dict[str, Any]]] = {
    "messages": lambda n: {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"What is {n}?"},
            {"role": "assistant", "content": f"It is {n}."},
        ]
    },
    "sharegpt": lambda n: {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": f"What is {n}?"},
            {"from": "gpt", "value": f"It is {n}."},
        ]
    },
    "prompt": lambda n: {"prompt": f"What is {n}?", "response": f"It is {n}."},
    "question": lambda n: {"question": f"What is {n}?", "answer": f"It is {n}."},
    "alpaca": lambda n: {"instruction": "What is this?", "input": f"{n}", "output": f"It is {n}."},
    "text": lambda n: {"text": f"What is {n}?"},
}
NAMED = {"messages": "messages", "sharegpt": "messages", "text": "text"}


def expected(shape: str, n: int) -> tuple[list[str], str, str | None]:
    """(roles, question, answer)."""
    question = f"What is this?\n\n{n}" if shape == "alpaca" else f"What is {n}?"
    roles = ["system", "user"] if shape in ("messages", "sharegpt") else ["user"]
    return roles, question, None if shape == "text" else f"It is {n}."


CASES = [
    (kind, shape)
    for kind in ("jsonl", "ndjson", "json", "object", "csv", "tsv", "parquet")
    for shape in SHAPES
    if kind not in ("csv", "tsv") or shape not in ("messages", "sharegpt")  # a cell holds no list
]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_every_format_and_shape(tmp_path: Path, kind: str, shape: str, named: bool) -> None:
    path = tmp_path / f"seeds.{'json' if kind == 'object' else kind}"
    write(path, [SHAPES[shape](n) for n in range(7)], kind)
    made = Made(tmp_path / "run", path=str(path), **({"shape": NAMED.get(shape, "prompt")} if named else {}))
    made.go()
    found = [([m["role"] for m in seed.messages], seed.question, seed.answer) for seed in made.seeds()]
    assert found == [expected(shape, n) for n in range(7)]
    assert made.problems() == {}


def test_plain_text_and_the_order_of_lines(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("first?\n  zweite, ü?  \nthird, with, commas\n", encoding="utf-8")
    made = Made(tmp_path, path="seeds.txt")
    made.go()
    assert [seed.question for seed in made.seeds()] == ["first?", "zweite, ü?", "third, with, commas"]


# ---- what is wrong, and on which line


def test_bad_lines_of_jsonl_are_told_with_their_numbers(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"question": "one"}',
        b"",
        b'{"question": "caf\xe9"}',
        b'{"question": "two"}',
        b'{"question": "unclosed',
        b'{"question": "one"}',
        b'"a word"',
        b'{"title": "no question"}',
        b"   ",
        b'{"question": "\\ud800"}',
        b'{"question": "three"}',
    ]
    (tmp_path / "seeds.jsonl").write_bytes(b"\n".join(lines))
    made = Made(tmp_path, path="seeds.jsonl")
    summary = made.go()
    assert [seed.origin for seed in made.seeds()] == [f"seeds.jsonl:{n}" for n in (1, 4, 7, 11)]
    told = made.problems()
    assert sorted(told) == [2, 3, 5, 6, 8, 9, 10]
    assert told[2] == told[9] == "is empty"
    assert "not UTF-8 (byte 18" in told[3] and "not JSON" in told[5] and told[6] == "repeats line 1"
    assert "(2 empty, 4 broken, 1 duplicate skipped)" in summary


def test_bad_lines_of_csv_are_told_with_their_numbers(tmp_path: Path) -> None:
    text = 'question,answer\none,1\n\n"two\nlines",2\nbad\xe9,3\nshort\n"x"y,4\none,1\nfive,5\n'
    (tmp_path / "seeds.csv").write_bytes(text.encode("latin-1"))
    made = Made(tmp_path, path="seeds.csv")
    made.go()
    assert [(seed.question, seed.origin) for seed in made.seeds()] == [
        ("one", "seeds.csv:2"),
        ("two\nlines", "seeds.csv:4"),
        ("five", "seeds.csv:10"),
    ]
    told = made.problems()
    assert sorted(told) == [3, 6, 7, 8, 9]
    assert told[3] == "is empty" and told[6] == "is not UTF-8" and "2 columns" in told[7]
    assert "not CSV" in told[8] and told[9] == "repeats line 2"


def test_an_open_quote_does_not_swallow_the_rest_in_silence(tmp_path: Path) -> None:
    (tmp_path / "seeds.csv").write_text('question\none\n"two\nthree\nfour\n')
    made = Made(tmp_path, path="seeds.csv")
    made.go()
    assert [seed.question for seed in made.seeds()] == ["one"] and list(made.problems()) == [3]


def test_bad_lines_of_text_are_told_with_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_bytes(b"one\n\n\xff\none\ntwo\n")
    made = Made(tmp_path, path="seeds.txt")
    made.go()
    assert made.problems() == {2: "is empty", 3: "is not UTF-8 (byte 1 of the line)", 4: "repeats line 1"}


@pytest.mark.parametrize("line", [2, 17, 300])
@pytest.mark.parametrize("bad", [b"", b"{", b"\xff", b'{"x": 1}', b'{"question": "q1"}'])
def test_by_policy_the_first_bad_line_ends_it_and_nothing_is_lost(tmp_path: Path, line: int, bad: bytes) -> None:
    made = Made(tmp_path, path="seeds.jsonl", on_problem="refuse")
    good = [json.dumps({"question": f"q{n}"}).encode() for n in range(1, 301)]
    (tmp_path / "seeds.jsonl").write_bytes(b"\n".join(good) + b"\n")
    made.go()
    good[line - 1] = bad
    (tmp_path / "seeds.jsonl").write_bytes(b"\n".join(good) + b"\n")
    with pytest.raises(UsageError, match=f"seeds.jsonl line {line} "):
        made.go()
    assert len(made.seeds()) == 300


IMPOSTORS: dict[str, tuple[str, bytes, str]] = {
    "png as jsonl": ("s.jsonl", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "contains no usable|does not match"),
    "prose as jsonl": ("s.jsonl", b"Once upon a time\nthere was a file\n", "does not match its file extension"),
    "json and more as jsonl": ("s.jsonl", b'[{"question": "q"}]\n{"question": "q"}', "rename it to .json"),
    "broken json as jsonl": (
        "s.jsonl",
        b'[\n {\n  "question": "q"\n },\n 5\n\n',
        "does not match its file extension",
    ),
    "broken jsonl as json": ("s.json", b'{"question": "a"}\nquestion b\n', "does not match its file extension"),
    "prose as json": ("s.json", b"Once upon", "does not match its file extension"),
    "utf-16 as json": ("s.json", '[{"question": "q"}]'.encode("utf-16"), "does not match its file extension"),
    "number as json": ("s.json", b"5", "no list of seeds"),
    "two lists as json": ("s.json", b'{"a": [], "b": []}', "2 lists"),
    "deep json": ("s.json", b"[" * 100_000, "does not match its file extension"),
    "zip as csv": (
        "s.csv",
        b"PK\x03\x04\x14\x00\x00\x00\x08\x00\xff\xfe,\n" * 5,
        "does not match its file extension",
    ),
    "parquet as csv": ("s.csv", b"PAR1\x15\x04\x15\x00\n\x00\x01", "does not match its file extension"),
    "utf-16 as csv": ("s.csv", "question\nq\n".encode("utf-16"), "does not match its file extension"),
    "prose as csv": ("s.csv", b"Once upon a time\nthere, was, a file\n", "no usable seed"),
    "prose as parquet": ("s.parquet", b"Once upon a time", "does not match its file extension"),
    "nothing as parquet": ("s.parquet", b"", "does not match its file extension"),
    "binary as txt": ("s.txt", b"abc\x00\x01\x02\n", "NUL bytes"),
    "unknown file extension": ("s.docx", b"x", "unknown file extension"),
}


@pytest.mark.parametrize("case", IMPOSTORS)
def test_a_file_that_is_not_what_its_ending_says(tmp_path: Path, case: str) -> None:
    name, content, said = IMPOSTORS[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        Made(tmp_path, path=name).go()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "txt"])
def test_nothing_in_the_file(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"s.{kind}").write_bytes(b"[]" if kind == "json" else b"")
    with pytest.raises(UsageError, match="contains no usable seed"):
        Made(tmp_path, path=f"s.{kind}").go()


@pytest.mark.parametrize("path", ["nowhere.jsonl", "./nowhere", "/nowhere/at/all", "~/nowhere.txt", "a/b/c"])
def test_no_such_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="no seed file at"):
        Made(tmp_path, path=path).go()


def test_a_folder_is_no_seed_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        Made(tmp_path, path=".").go()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "from", "content", "value", "question", "input", "text", "answer"])
            | st.sampled_from(["user", "instruction", "id", "conversations"]),
            inner | st.sampled_from(["user", "assistant", "human", "gpt"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@PER_EXAMPLE
@given(st.lists(VALUES, max_size=6), st.sampled_from(["auto", "messages", "prompt", "text"]))
def test_every_record_is_a_seed_or_a_problem(values: list[Any], shape: str) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "s.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
        made = Made(Path(folder), path="s.jsonl", shape=shape)
        refusal = None
        try:
            made.go()
        except UsageError as error:
            refusal = str(error)
            assert "\n" not in refusal
        seeds, problems = made.seeds(), made.problems()
        made.run.store.close()
    if values and isinstance(values[0], list):
        return  # such a file may be one JSON array, whose rows are counted
    assert refusal is None or len(seeds) <= 1
    lines = sorted([*problems, *(int(seed.origin.rpartition(":")[2]) for seed in seeds)])
    assert lines == list(range(1, len(values) + 1))
    for seed in seeds:
        assert seed.question.strip() and seed.messages[-1]["role"] == "user"
        "".join(message["content"] for message in seed.messages).encode("utf-8")


@PER_EXAMPLE
@given(st.binary(max_size=200), st.sampled_from(["jsonl", "json", "csv", "tsv", "parquet", "txt"]))
def test_any_bytes_are_records_problems_or_a_usage_error(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / f"s.{kind}"
    path.write_bytes(content)
    try:
        found = list(read_records(path, Seeds(path=path.name)))
    except UsageError as error:
        assert str(path) in str(error)
        return
    lines = [item.line for item in found]
    assert lines == sorted(set(lines)) and all(isinstance(item, Record | Problem) for item in found)
