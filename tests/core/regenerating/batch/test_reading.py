"""Files of any content: each line is counted once, true answers are stored, and a second reading changes nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, Stopped
from faq_tui.core.regenerating.batch import BatchSummary, read_batch, write_batch
from faq_tui.core.run.run import open_run
from tests.support.batch_runner import completion, made_up, requests_of, result_line, run_batch
from tests.support.shell import faq_tui, make_run, rows

MIB = 1 << 20


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with four seeds and no candidate."""
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    assert faq_tui("run", run, "--only", "seeds").code == ExitCode.DONE
    return run


@pytest.fixture(scope="module")
def true_lines(template: Path) -> list[bytes]:
    """The output of a batch that answers all twelve requests."""
    with open_run(template) as run:
        requests = requests_of(file.path for file in write_batch(run))
    shutil.rmtree(template / "batch")
    return [json.dumps(result_line(row["custom_id"], made_up(row["body"]))).encode() for row in requests]


@pytest.fixture
def run_copy(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "run"))


def read(folder: Path, *files: Path) -> BatchSummary:
    with open_run(folder) as run:
        return read_batch(run, files, CancelToken())


def total(summary: BatchSummary) -> int:
    of = summary.sources["elder"]
    return of.stored + of.already + of.failed + summary.other_settings + summary.foreign + summary.unreadable


JUNK = st.one_of(
    st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b"")),
    st.sampled_from(
        [
            b"{}",
            b"null",
            b'{"custom_id": "faq-x"}',
            b'{"custom_id": "faq-elder-0123456789ab-1-0123456789abcdef", "response": {}}',
            b"[" * 5000,
            b'{"custom_id": "\\ud800", "error": NaN}',
            b"\x00\x1b[31m",
            b"\xff\xfe\x00",
        ]
    ),
)
LINES = st.lists(JUNK | st.integers(0, 11) | st.tuples(st.integers(0, 11), st.integers(1, 300)), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES)
def test_any_file(template: Path, true_lines: list[bytes], lines: list[bytes | int | tuple[int, int]]) -> None:
    """The lines are junk, true answers, and true answers that are cut off."""
    content, true = [b"{}"], set()  # the first line makes sure that no junk looks like a packed file
    for line in lines:
        if isinstance(line, bytes):
            content.append(line)
        elif isinstance(line, int):
            content.append(true_lines[line])
            true.add(line)
        else:
            content.append(true_lines[line[0]][: line[1]])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(template, Path(place) / "run"))
        output = Path(place) / "out.jsonl"
        output.write_bytes(b"\n".join(content))
        first = read(folder, output)
        assert first.sources["elder"].stored == len(true) and first.sources["elder"].missing == 12 - len(true)
        assert first.lines == total(first) == sum(bool(line.strip()) for line in content)
        before = rows(folder, "SELECT * FROM candidates") + rows(folder, "SELECT * FROM failed_candidates")
        second = read(folder, output)
        assert second.sources["elder"].stored == 0 and second.lines == first.lines
        assert before == rows(folder, "SELECT * FROM candidates") + rows(folder, "SELECT * FROM failed_candidates")
        assert all(isinstance(line, str) for line in first.in_words()) and json.dumps(first.as_json())


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16"])
def test_a_file_in_another_encoding(run_copy: Path, tmp_path: Path, encoding: str) -> None:
    output = tmp_path / "out.jsonl"
    output.write_bytes("{}\n".encode(encoding)[:-1])
    (line,) = read(run_copy, output).first_unreadable
    assert line.reason.endswith("; save it as UTF-8") and "seeds." not in line.reason


def test_huge_lines_are_skipped(run_copy: Path, tmp_path: Path, true_lines: list[bytes]) -> None:
    output = tmp_path / "out.jsonl"
    with output.open("wb") as file:
        file.write(true_lines[0] + b"\n")
        for size in (32, 70):
            file.write(b'{"custom_id": "')
            for _ in range(size):
                file.write(b"x" * MIB)
            file.write(b'"}\n')
        file.write(true_lines[1] + b"\n")
        file.write(b"y" * (40 * MIB))
    summary = read(run_copy, output)
    assert summary.sources["elder"].stored == 2
    assert [(one.line, one.reason) for one in summary.first_unreadable] == [
        (line, "longer than 32 MiB") for line in (2, 3, 5)
    ]


def test_a_stop_keeps_what_is_stored(run_copy: Path, tmp_path: Path, true_lines: list[bytes]) -> None:
    class AfterThree(CancelToken):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks > 3:
                self.set()
            super().check()

    output = tmp_path / "out.jsonl"
    output.write_bytes(b"\n".join(true_lines))
    with open_run(run_copy) as run, pytest.raises(Stopped):
        read_batch(run, [output], AfterThree())
    assert len(rows(run_copy, "SELECT * FROM candidates")) == 3
    assert read(run_copy, output).sources["elder"].stored == 9


def test_control_characters_reach_neither_the_screen_nor_break_the_database(run_copy: Path, tmp_path: Path) -> None:
    evil = "\x1b]0;pwned\x07\u202e\ud83d one \x00 two"
    with open_run(run_copy) as run:
        files = [file.path for file in write_batch(run)]
    output = run_batch(files, tmp_path / "out.jsonl", lambda _body: completion(evil, finish=evil), most=2)
    result = faq_tui("batch", "read", run_copy, output)
    assert result.code == ExitCode.DONE and "elder: 2 stored" in result.out
    assert not set("\x1b\x07\u202e\x00") & set(result.out + result.err)
    assert "\ud83d" not in rows(run_copy, "SELECT answer FROM candidates")[0][0]


def test_say_tells_the_progress(run_copy: Path, tmp_path: Path) -> None:
    output, said = tmp_path / "out.jsonl", list[str]()
    output.write_bytes(b"{}\n" * 2500)
    began = time.monotonic()
    with open_run(run_copy) as run:
        assert read_batch(run, [output], CancelToken(), said.append).unreadable == 2500
    assert said == [f"{output}: {count:,} lines read" for count in (1000, 2000)]
    assert time.monotonic() - began < 30


def test_answers_of_another_model_are_stored_with_a_warning(
    run_copy: Path, tmp_path: Path, true_lines: list[bytes]
) -> None:
    lines = [json.loads(line) for line in true_lines[:3]]
    for line in lines[:2]:
        line["response"]["body"]["model"] = "stranger-70b"
    output = tmp_path / "out.jsonl"
    output.write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = read(run_copy, output)
    assert summary.sources["elder"].stored == 3 and summary.sources["elder"].other_models == {"stranger-70b": 2}
    assert any("warning: 2 of the stored answers name the model stranger-70b" in line for line in summary.in_words())
