"""A reasoning parser that swallows the answers is named after a few of them; a model that thinks is not blamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.swallowed_answers import SwallowedAnswers
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import faq_tui, make_run, refused, rows

UNTIL = ("--until", "regenerate")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.mark.parametrize("reasoning", ["native", "off"])
def test_the_stage_ends_with_advice_after_a_few_answers(server: FakeServer, tmp_path: Path, reasoning: str) -> None:
    """And what came is requested again once the server is right."""
    server.behaviour = Behaviour(deltas=lambda asked: [{"reasoning": "It is about rivers."}])
    source = f'concurrency = 2\nreasoning = "{reasoning}"'
    folder = make_run(tmp_path / "run", server.url, seeds=20, source=source)
    said = refused(ExitCode.FAILED, "run", folder, *UNTIL)
    assert said.startswith(f"{server.url}: the server's reasoning parser mistakes the answers for reasoning")
    assert "without --reasoning-parser" in said and ('reasoning = "off"' in said) == (reasoning == "native")
    assert len(server.requests) < 16 and rows(folder, "SELECT * FROM candidates") == []
    server.behaviour = Behaviour()
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert len(rows(folder, "SELECT * FROM candidates WHERE flags = '[]'")) == 60


def reply(reasoning: str = "hm", answer: str = "", finish: str = "stop", dialect: str = "reasoning") -> Reply:
    return Reply(reasoning, answer, finish, True, 1, 1, 0.1, dialect)


@pytest.mark.parametrize(
    "other",
    [reply(answer="yes"), reply(finish="length"), reply(dialect="inline"), reply(reasoning="", dialect="none")],
)
def test_other_replies_are_no_sign_of_a_parser(other: Reply) -> None:
    """One answer proves that the parser is right."""
    watch = SwallowedAnswers()
    assert not any(watch.add(other) for _ in range(20))
    assert [watch.add(reply()) for _ in range(4)] == [False] * 3 + [not other.answer]
