"""An LLM judge is tested before its marks are used: real answers against garbage and misplaced ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.judging.reliability import bias_of
from tests.support.fake_server import Asked, FakeServer, Fault, answer_of
from tests.support.judge_bench import is_judge, judge_requests, judged, judging, marks, prompt_of
from tests.support.shell import events, faq_tui, question, refused, rows

JUDGE = ("--until", "judge")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def knowing(asked: Asked) -> str:
    """A judge that knows what answers the question it is shown."""
    seed = next(n for n in range(9) if question(n) in prompt_of(asked))
    real = {answer_of(question(seed), n) for n in range(3)}
    return marks(asked, lambda text, _: 8 if text in real else 2)


def probe_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(faq_tui("status", folder, "--json").out)["judging"]["probe"]
    return found


@pytest.mark.parametrize("mode", ["listwise", "pointwise"])
def test_a_judge_that_knows_real_answers_passes(server: FakeServer, tmp_path: Path, mode: str) -> None:
    server.behaviour = judging(knowing)
    folder = judged(tmp_path / "run", server.url, seeds=5, more=f'mode = "{mode}"\nprobe = 4')
    result = faq_tui("run", folder, *JUDGE)
    assert result.code == ExitCode.DONE, result
    assert "with AUC 1.00 [" in result.err and "warning: tested" not in result.err
    found = probe_of(folder)
    assert (found["auc"], found["warning"], found["marks"]) == (1.0, False, 12)
    assert found["mean"] == {"real": 8.0, "shuffled": 2.0, "garbage": 2.0}
    assert found["auc_against"] == {"shuffled": 1.0, "garbage": 1.0}
    # Two orders of three for each of four seeds and then of five; or one by one, the real ones not a second time.
    assert len(judge_requests(server)) == (2 * 4 + 2 * 5 if mode == "listwise" else 3 * 4 + 3 * 5 - 4)
    assert len(rows(folder, "SELECT id FROM scores WHERE kind = 'llm'")) == 15  # none of the probe's


def test_a_judge_that_says_ten_to_all_is_warned_of_in_note_status_and_report(
    server: FakeServer, tmp_path: Path
) -> None:
    server.behaviour = judging(lambda asked: marks(asked, lambda *_: 10))
    folder = judged(tmp_path / "run", server.url, seeds=3, more="probe = 3")
    result = faq_tui("run", folder, *JUDGE, "--json")
    (warned,) = [e for e in events(result) if e["event"] == "Note" and "in the test before use" in e["message"]]
    assert warned["level"] == "warning" and "with AUC 0.50 [" in warned["message"]
    assert "below 0.7: its scores are unreliable" in warned["message"]
    found = probe_of(folder)
    assert (found["auc"], found["warning"]) == (0.5, True)
    assert "AUC 0.50" in " ".join(faq_tui("status", folder).out.split())


def test_a_judge_is_tested_once(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(knowing)
    folder = judged(tmp_path / "run", server.url, seeds=3, more="probe = 2", source="candidates = 2")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    settings, before = folder / "faq.toml", len(judge_requests(server))
    settings.write_text(settings.read_text().replace("candidates = 2", "candidates = 3"))
    result = faq_tui("run", folder, *JUDGE)
    assert result.code == ExitCode.DONE and "in the test before use" not in result.err
    assert len(judge_requests(server)) == before + 2 * 3
    settings.write_text(settings.read_text() + "max_tokens = 400\n")  # another judge
    assert "in the test before use" in faq_tui("run", folder, *JUDGE).err


def test_a_probe_that_broke_off_is_done_by_the_next_run(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(knowing, fault=lambda a: Fault("error") if is_judge(a) else None)
    folder = judged(tmp_path / "run", server.url, seeds=2, more="retries = 0")
    assert "the judge failed on 6 of 6 candidates" in refused(ExitCode.FAILED, "run", folder, *JUDGE)
    assert probe_of(folder) is None
    server.behaviour = judging(knowing)
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert probe_of(folder)["auc"] == 1.0


def test_a_judge_whose_test_cannot_be_read_judges_nothing(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(lambda asked: "no")
    folder = judged(tmp_path / "run", server.url, seeds=4, more="probe = 2")
    sentence = "in the test before use, no reply of the judge held a score, so no candidate was judged"
    assert sentence in refused(ExitCode.FAILED, "run", folder, *JUDGE)
    assert probe_of(folder) is None and not rows(folder, "SELECT * FROM scores")
    asked = len(judge_requests(server))
    assert asked <= 2 * 2 * 2 + 1  # two seeds, each in two orders, each with one repair; and one trial of the form
    server.behaviour = judging(knowing)
    folder = judged(tmp_path / "other", server.url, seeds=4, more="probe = 2")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE


def test_a_single_seed_is_tested_on_garbage_alone(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = judging(knowing)
    folder = judged(tmp_path / "run", server.url, more="probe = 8")
    assert faq_tui("run", folder, *JUDGE).code == ExitCode.DONE
    assert probe_of(folder)["auc_against"] == {"garbage": 1.0}


def test_bias_by_hand() -> None:
    """Answer by answer (place, mark) in both orders."""
    turned = [[(0, 9.0), (1, 4.0)], [(1, 5.0), (0, 8.0)]]  # each order has its own winner; means 6.5, 6.5
    steady = [[(0, 9.0), (1, 9.0)], [(1, 2.0), (0, 4.0)]]
    level = [[(0, 5.0), (1, 5.0)], [(1, 5.0), (0, 5.0)]]
    half = [[(0, 9.0), (1, 7.0)], [(1, 5.0), (0, 7.0)]]  # one winner in one order, a tie in the other: not changed
    bias = bias_of([turned, steady, level, half])
    assert (bias.groups, bias.changed, bias.tied) == (4, 1, 2)
    assert bias.by_place == ((9 + 8 + 9 + 4 + 5 + 5 + 9 + 7) / 8, (4 + 5 + 9 + 2 + 5 + 5 + 7 + 5) / 8)
