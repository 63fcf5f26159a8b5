"""The prompt and the system turn of a source, and the judge's rubric, from the person's own files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.fake_server import FakeServer
from tests.support.judge_bench import judge_requests, judged, judging, marks, prompt_of
from tests.support.shell import faq_tui, make_run, question, refused, rows

UNTIL = ("--until", "regenerate")
BRACES = 'Take {braces} and {"json": 1} as they are.'


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def turns(server: FakeServer) -> list[list[tuple[str, str]]]:
    """The turns of each request, without repeats."""
    seen = {json.dumps(asked.body["messages"]) for asked in server.requests}
    return [[(turn["role"], turn["content"]) for turn in json.loads(one)] for one in sorted(seen)]


def a_run(folder: Path, server: FakeServer, source: str, seeds: list[dict[str, Any]] | None = None) -> Path:
    make_run(folder, server.url, seeds=1, source=source)
    if seeds is not None:
        (folder / "seeds.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in seeds))
    return folder


@pytest.mark.parametrize("reasoning", ["native", "prompted", "off"])
def test_the_prompt_holds_the_question(server: FakeServer, tmp_path: Path, reasoning: str) -> None:
    folder = a_run(tmp_path / "run", server, f'reasoning = "{reasoning}"\nprompt = "my prompts/p.txt"')
    (folder / "my prompts").mkdir()
    (folder / "my prompts/p.txt").write_text(f"\ufeffAnswer briefly.\r\n{BRACES}\r\n\r\n{{question}}\r\n", "utf-8")
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert turns(server) == [[("user", f"Answer briefly.\n{BRACES}\n\n{question(0)}")]]


def test_the_system_turn_comes_before_the_seeds_own(server: FakeServer, tmp_path: Path) -> None:
    own = [{"role": "system", "content": "Speak like a pirate."}, {"role": "user", "content": "Where is the gold?"}]
    seeds: list[dict[str, Any]] = [{"messages": own}, {"question": "What is a keel?"}]
    folder = a_run(tmp_path / "run", server, 'system = "s.txt"', seeds)
    (folder / "s.txt").write_text("Think in small steps.\n")
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert sorted(turns(server)) == [
        [("system", "Think in small steps."), ("user", "What is a keel?")],
        [("system", "Think in small steps.\n\nSpeak like a pirate."), ("user", "Where is the gold?")],
    ]


def test_another_text_asks_again_and_the_old_text_finds_its_candidates(server: FakeServer, tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", server, 'candidates = 1\nprompt = "p.txt"')
    for text, requests in (("One: {question}", 1), ("Two: {question}", 2), ("One: {question}", 2)):
        (folder / "p.txt").write_text(text)
        assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
        assert len(server.requests) == requests
    assert len(rows(folder, "SELECT prompt_version FROM candidates")) == 2


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("prompt", None, "cannot read own.txt (No such file or directory)"),
        ("system", b"", "own.txt is empty"),
        ("system", b" \n ", "own.txt is empty"),
        ("prompt", b"Answer this.", "own.txt does not contain {question}"),
        ("system", b"caf\xe9", "own.txt is not UTF-8 text (byte 3)"),
        ("system", b"a\0b", "own.txt contains a NUL character"),
        ("system", b"x" * (1 << 20) + b"y", "own.txt is longer than 1 MiB"),
    ],
)
def test_a_file_that_is_no_use_is_one_sentence_before_anything_is_asked(
    server: FakeServer, tmp_path: Path, key: str, content: bytes | None, words: str
) -> None:
    folder = a_run(tmp_path / "run", server, f'{key} = "own.txt"')
    if content is not None:
        (folder / "own.txt").write_bytes(content)
    said = refused(ExitCode.USAGE, "run", folder, *UNTIL)
    assert f"`sources.elder.{key}`: {words}" in said and not server.requests


@pytest.mark.parametrize("path", ["a\\u0000b", "~nosuchuser/x", ".", "seeds.jsonl/x"])
def test_a_path_that_names_no_file_is_one_sentence(server: FakeServer, tmp_path: Path, path: str) -> None:
    folder = a_run(tmp_path / "run", server, f'system = "{path}"')
    assert "`sources.elder.system`" in refused(ExitCode.USAGE, "status", folder)


@pytest.mark.parametrize("mode", ["listwise", "pointwise"])
def test_the_rubric_replaces_the_criteria_and_nothing_else(server: FakeServer, tmp_path: Path, mode: str) -> None:
    server.behaviour = judging(lambda asked: marks(asked, lambda answer, place: 5.0))
    folder = judged(tmp_path / "run", server.url, more=f'probe = 0\nmode = "{mode}"\nrubric = "r.txt"')
    scores = 0
    for text in ("Mark {fence} and {question} by their rhymes only.", "Mark the spelling."):
        (folder / "r.txt").write_text(text)
        assert faq_tui("run", folder, "--until", "judge").code == ExitCode.DONE
        shown = prompt_of(judge_requests(server)[-1])
        assert f"\n\n{text}\n\nEverything between the marks " in shown and "completeness: is everything" not in shown
        assert question(0) in shown and '"overall": <1 to 10>' in shown
        (before, scores) = (scores, len(rows(folder, "SELECT id FROM scores")))
        assert scores == before + 3, "another rubric is another column of scores"
