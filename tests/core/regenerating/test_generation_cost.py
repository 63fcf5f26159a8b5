"""What regenerating will cost is said before it is spent; where it has a price, a person says yes first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import events, faq_tui, make_run, question, refused, stored

UNTIL = ("--until", "regenerate")
PRICED = "price = { input = 1.0, output = 2.0 }"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(Behaviour(tokens_per_piece=100)) as running:
        yield running


def test_a_priced_source_takes_a_sample_says_the_cost_and_waits_for_a_yes(server: FakeServer, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", server.url, seeds=20, source=PRICED)
    said = refused(ExitCode.USAGE, "run", folder, *UNTIL)
    assert said.startswith("elder: 57 candidates to come, about ")
    assert (
        "a cost of 0." in said
        and "to agree, give --yes, or press r again in the app (finished candidates are kept)" in said
    )
    assert server.stats().asked.total() == 3, "a sample of three"
    kept = stored(folder)
    assert refused(ExitCode.USAGE, "run", folder, *UNTIL) == said
    assert server.stats().asked.total() == 3, "it is kept, so no other is needed"
    result = faq_tui("run", folder, *UNTIL, "--yes", "--json")
    assert result.code == ExitCode.DONE, result
    assert server.stats().asked == {(question(s), n): 1 for s in range(20) for n in range(3)}
    assert kept < stored(folder)


def test_the_cost_is_what_the_candidates_then_cost(server: FakeServer, tmp_path: Path) -> None:
    """Within a tenth here, where answers are much alike."""
    folder = make_run(tmp_path / "run", server.url, seeds=20, source=PRICED)
    refused(ExitCode.USAGE, "run", folder, *UNTIL)
    before = json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]
    assert before["to_come"]["candidates"] == 57 and before["to_come"]["basis"] == "measured"
    assert faq_tui("run", folder, *UNTIL, "--yes").code == ExitCode.DONE
    after = json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]
    written, prompts = after["tokens"] - before["tokens"], 57 * 11
    assert before["to_come"]["tokens"] == pytest.approx(written + prompts, rel=0.1)
    assert before["to_come"]["cost"] == pytest.approx((2.0 * written + prompts) / 1e6, rel=0.1)
    assert after["to_come"]["candidates"] == 0


def test_without_a_price_nobody_is_asked_and_the_estimate_comes_with_the_first_answers(
    server: FakeServer, tmp_path: Path
) -> None:
    result = faq_tui("run", make_run(tmp_path / "run", server.url, seeds=6), *UNTIL, "--json")
    assert result.code == ExitCode.DONE
    told = [e["message"] for e in events(result) if e["event"] == "Note"]
    (estimate,) = [note for note in told if "candidates to come" in note]
    assert estimate.startswith("elder: 15 candidates to come, about ") and "cost" not in estimate


def test_many_tokens_need_a_yes_where_the_settings_say_so(server: FakeServer, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", server.url, seeds=6, source="confirm_over_tokens = 2000")
    assert "about " in refused(ExitCode.USAGE, "run", folder, *UNTIL)
    make_run(folder, server.url, seeds=6, source="confirm_over_tokens = 2000000")
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE


def test_a_changed_prompt_is_stale_and_status_says_what_it_would_cost(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(reply=lambda asked: "A step.\nAnswer: it is about that.", tokens_per_piece=100)
    folder = make_run(tmp_path / "run", server.url, seeds=4, source='reasoning = "off"')
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    make_run(folder, server.url, seeds=4, source='reasoning = "prompted"')
    status = json.loads(faq_tui("status", folder, "--json").out)
    assert {s["stage"]: s["state"] for s in status["stages"]}["regenerate"] == "stale"
    source = status["sources"]["elder"]
    assert (source["candidates"], source["outdated"]) == (0, 12)
    assert (source["to_come"]["candidates"], source["to_come"]["basis"]) == (12, "earlier settings")
    assert source["to_come"]["tokens"] > 12 * 200
    shown = " ".join(faq_tui("status", folder).out.split())
    assert "elder: 12 candidates to come, about" in shown and "12 from earlier settings are kept" in shown
