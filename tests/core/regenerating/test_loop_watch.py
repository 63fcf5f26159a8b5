"""A stream that repeats itself is ended while it runs; one that only looks like it for a while is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.evaluation.texts import pydoc_prose
from faq_tui.core.regenerating.loop_watch import CHECK_EVERY, LoopWatch
from tests.support.fake_server import Asked, Behaviour, FakeServer, answer_of
from tests.support.shell import events, faq_tui, make_run, rows

PROSE = pydoc_prose()
RECORDS = json.dumps([{"id": n, "name": f"user{n}", "active": True} for n in range(2000)], indent=2)


def ended_at(text: str, step: int = 40) -> int | None:
    watch = LoopWatch()
    return next((at for at in range(0, len(text), step) if watch.loops(text[at : at + step])), None)


@pytest.mark.parametrize(
    "loop",
    [
        "0, " * 9000,
        "".join(f"Wait, let me check step {n} of this once more, since I may be wrong. " for n in range(400)),
        (PROSE[3000:5000] + "\n") * 12,
        (PROSE[3000:6900] + "\n") * 12,
        "这是一个很好的问题，我们再想一想。" * 900,
    ],
)
@pytest.mark.parametrize("before", [0, 30_000])
def test_a_loop_is_found_within_a_few_thousand_tokens(loop: str, before: int) -> None:
    at = ended_at(PROSE[:before] + loop)
    assert at is not None and before <= at < before + 20_000


@pytest.mark.parametrize(
    "text",
    [
        PROSE[:200_000],
        RECORDS,
        Path(json.__file__).with_name("decoder.py").read_text() * 2,
        "\n".join(f"{a} x {b} = {a * b}" for a in range(90) for b in range(90)),
        ("The table:\n" + "0 " * 1500 + "\n" + PROSE[:9000]) * 3,  # a long row of zeros, and on
    ],
)
def test_text_that_goes_on_is_not_ended(text: str) -> None:
    assert ended_at(text) is None


def test_the_watch_costs_less_than_a_hundredth_of_a_core() -> None:
    """100 streams of 100 tokens a second, of 4 characters each, for 10 seconds."""
    before = time.process_time()
    for stream in range(100):
        assert ended_at(PROSE[stream * 1000 : stream * 1000 + 4000], 4) is None
    assert time.process_time() - before < 10 * 100 * 0.01 / 2
    assert CHECK_EVERY >= 1000


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def endless(asked: Asked) -> list[dict[str, str]]:
    if asked.number != 5:
        return [{"content": answer_of(asked.question, asked.number)}]
    return [{"reasoning": "Let me think. "}] * 3 + [{"content": "and so on and on "}] * 8000


@pytest.mark.parametrize("policy", ["drop", "other_seed"])
def test_a_looping_stream_is_closed_and_goes_by_on_flagged(server: FakeServer, tmp_path: Path, policy: str) -> None:
    server.behaviour = Behaviour(deltas=endless, pieces_per_s=1500)
    source = f'candidates = 1\non_flagged = "{policy}"\nsampling = {{ max_tokens = 9000, seed = 5 }}'
    folder = make_run(tmp_path / "run", server.url, seeds=1, source=source)
    result = faq_tui("run", folder, "--until", "regenerate", "--json")
    assert result.code == ExitCode.DONE, result.err
    (ended,) = [event for event in events(result) if event["event"] == "LoopEnded"]
    assert 300 < ended["tokens"] < 4000 and ended["tokens"] + ended["saved_tokens"] == 9000
    assert f"which saved up to {ended['saved_tokens']:,} tokens" in result.err
    assert [asked.body["max_tokens"] for asked in server.requests] == [9000] * (1 if policy == "drop" else 2)
    server.wait_for(lambda stats: stats.in_flight == 0, 5)
    ((flags, reason, tokens, why),) = rows(
        folder, "SELECT flags, finish_reason, completion_tokens, why FROM candidates"
    )
    if policy == "drop":
        assert (flags, reason, tokens) == ('["loop"]', "loop", ended["tokens"])
        assert "faq-tui ended the stream after" in json.loads(why)["loop"]
        assert (
            json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]["saved_tokens"] == 9000 - tokens
        )
    else:
        assert (flags, reason) == ("[]", "stop")
