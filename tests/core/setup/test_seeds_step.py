"""What is said about a file of questions before a run reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.setup import seeds_step
from faq_tui.core.setup.seeds_step import look_at_seeds


def words(report: seeds_step.SeedsReport) -> str:
    return "\n".join(line.text for line in report.lines)


def test_twenty_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("".join(f"Why is number {n} odd?\n" for n in range(20)))
    report = look_at_seeds("mine.txt", tmp_path)
    assert not report.problem and report.name == str(tmp_path / "mine.txt")
    assert (report.usable, report.answers, report.count, report.heldout) == (20, 0, 16, 4)
    assert report.samples == ("Why is number 0 odd?", "Why is number 1 odd?", "Why is number 2 odd?")
    assert "20 usable questions, 0 with an answer" in words(report) and "Form: plain text" in words(report)


def test_fields_and_skipped_lines_are_named(tmp_path: Path) -> None:
    rows = [{"query": f"Question {n}?", "solution": f"Answer {n}."} for n in range(9)]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "q.jsonl").write_text("\n".join([*lines, "{broken", lines[0], json.dumps({"image": 3})]) + "\n")
    report = look_at_seeds("q.jsonl", tmp_path)
    assert (report.usable, report.answers) == (9, 9)
    assert 'question in the field "query", answer in the field "solution"' in words(report)
    assert "1 broken" in words(report) or "2 broken" in words(report)
    assert "1 duplicate" in words(report) and "line 10 is" in words(report)


def test_chats(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]}
    (tmp_path / "c.jsonl").write_text(json.dumps(chat) + "\n")
    report = look_at_seeds("c.jsonl", tmp_path)
    assert 'chats in the field "messages"' in words(report)
    assert "too few to show whether the data helped" in words(report) and report.count == 1


@pytest.mark.parametrize(
    ("count", "heldout", "kept", "words_"),
    [
        (None, None, (16, 4), "regenerates 16 and holds out 4"),
        (5, None, (5, 4), "regenerates 5 and holds out 4"),
        (None, 0, (16, 0), "regenerates 16 and holds out 0"),
        (300, 10, (300, 10), "fewer than you ask for (300 and 10), because the file has only 20 usable questions"),
        (0, None, None, "the number of questions to regenerate must be a whole number from 1 to"),
        (1.5, None, None, "the number of questions to regenerate must be"),
        ("many", None, None, "the number of questions to regenerate must be"),
        (1, -1, None, "the number of questions to hold out must be a whole number from 0 to"),
        (True, 1, None, "the number of questions to regenerate must be"),
    ],
)
def test_the_numbers_of_questions(
    tmp_path: Path, count: object, heldout: object, kept: tuple[int, int] | None, words_: str
) -> None:
    (tmp_path / "mine.txt").write_text("".join(f"Why is number {n} odd?\n" for n in range(20)))
    report = look_at_seeds("mine.txt", tmp_path, count, heldout)
    assert words_ in (words(report) if kept else report.problem)
    if kept:
        assert not report.problem and (report.count, report.heldout) == kept and report.usual == (16, 4)


def test_the_starter_seeds() -> None:
    report = look_at_seeds("starter", Path())
    assert report.name == "starter" and (report.usable, report.count, report.heldout) == (256, 224, 32)


def test_a_data_set_of_the_hub_is_not_read(tmp_path: Path) -> None:
    report = look_at_seeds("rajpurkar/squad", tmp_path)
    assert not report.problem and report.usable is None and report.lines[0].role == "warning"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "type a file such as"),
        ("missing.jsonl", "no seed file at"),
        ("./missing", "no seed file at"),
        ("program.py", "unknown file extension '.py'"),
        ("empty.txt", "contains no usable question"),
        ("bad.jsonl", "contains no usable question (2 broken skipped); the first problem: line 1"),
        ("folder", "is a folder without seed files"),
        ("none*.jsonl", "no seed file matches"),
        ("a\0b", "type a file such as"),
    ],
)
def test_what_is_refused(tmp_path: Path, answer: str, why: str) -> None:
    (tmp_path / "program.py").write_text("print()\n")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "bad.jsonl").write_text('{"x": \n[1]\n')
    (tmp_path / "folder").mkdir()
    problem = look_at_seeds(answer, tmp_path).problem
    assert why in problem and "\n" not in problem and "seeds.path" not in problem


def test_a_huge_file_is_not_counted_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "q.txt").write_text("".join(f"Question {n}?\n" for n in range(100)))
    monkeypatch.setattr(seeds_step, "MOST_ROWS", 10)
    report = look_at_seeds("q.txt", tmp_path)
    assert not report.counted_all and "more than 10 usable questions" in words(report)
