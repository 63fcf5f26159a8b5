"""Sources that are loaded here: the same events, the same storing, the same flags as those behind a server."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, Stopped
from faq_tui.core.regenerating import local_task
from faq_tui.core.regenerating.candidate_requests import pending_candidates
from faq_tui.core.regenerating.local import LocalGenerator
from faq_tui.core.regenerating.local_task import next_tokens
from faq_tui.core.regenerating.recorder import CandidateRecorder, RegenerationProgress
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import CandidateDone, CandidateRetried, Event
from faq_tui.core.run.run import open_run
from tests.support.shell import Result, events, faq_tui, make_run, refused, rows, started
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

UNTIL = ("--until", "regenerate")
SAMPLING = "sampling = { temperature = 1.0, top_p = 0.95, top_k = 50, max_tokens = 24 }"
AS_IT_COMES = 'on_flagged = "drop"\nconcurrency = 4'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", hidden=64, layers=1)


def local_run(folder: Path, model: Path | str, target: Path, seeds: int = 3, more: str = AS_IT_COMES) -> Path:
    make_run(folder, "http://gone/v1", seeds=seeds, source=f"{SAMPLING}\n{more}", target=str(target))
    settings = folder / "faq.toml"
    gone = 'base_url = "http://gone/v1"\nmodel = "fake-8b"'
    text = settings.read_text().replace(gone, f'base_url = "local"\nmodel = "{model}"')
    settings.write_text(text)
    return folder


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Asked for by the name "target"."""
    folder = local_run(tmp_path_factory.mktemp("runs") / "run", "target", model)
    result = faq_tui("run", folder, *UNTIL, "--json")
    assert result.code == ExitCode.DONE, result
    return folder, result


def test_a_local_folder_gives_the_same_events_and_rows(finished: tuple[Path, Result], model: Path) -> None:
    folder, result = finished
    found = events(result)
    assert Counter(e["event"] for e in found)["CandidateDone"] == 9
    query = "SELECT seed_id, number, reasoning, answer, completion_tokens, dialect, model FROM candidates"
    kept = rows(folder, query)
    assert len(kept) == 9 and len({row[3] for row in kept}) > 1
    for seed_id, number, reasoning, answer, tokens, dialect, name in kept:
        told = ""
        for event in found:
            if (event.get("seed_id"), event.get("index")) == (seed_id, number):
                if event["event"] == "CandidateStarted":
                    told = ""
                elif event["event"] == "CandidateDelta":
                    told += event["answer"]
                elif event["event"] == "CandidateDone":
                    assert event["completion_tokens"] == tokens
        assert (reasoning, told.strip(), dialect, name) == ("", answer, "local", str(model))
    again = faq_tui("run", folder, *UNTIL, "--json")
    assert [event["event"] for event in events(again)] == ["StageSkipped", "StageSkipped"]


def test_truncated_local_candidates_follow_the_policy(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    query = "SELECT flags, max_tokens, requests, completion_tokens FROM candidates"
    for flags, limit, requests, tokens in rows(folder, query):
        assert ("truncated" in json.loads(flags)) == (tokens == limit)
        assert (limit, requests) == ((24, 1) if tokens < 24 else (48, 2))
    assert any(event["event"] == "CandidateRetried" for event in events(result))


def test_the_same_seeds_give_the_same_answers(finished: tuple[Path, Result], model: Path, tmp_path: Path) -> None:
    folder = local_run(tmp_path / "run", model, model)
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    query = "SELECT seed_id, number, answer FROM candidates ORDER BY 1, 2"
    assert rows(folder, query) == rows(finished[0], query)


def test_a_target_as_source_goes_stale_with_it(finished: tuple[Path, Result], model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished[0], tmp_path / "run"))
    other = Path(shutil.copytree(model, tmp_path / "other"))
    local_run(folder, "target", other)
    status = json.loads(faq_tui("status", folder, "--json").out)
    assert {s["stage"]: s["state"] for s in status["stages"]}["regenerate"] == "stale"
    assert (status["sources"]["elder"]["candidates"], status["sources"]["elder"]["outdated"]) == (0, 9)


@pytest.mark.parametrize(("window", "rounds"), [(1 << 20, 2), (20, 1)])
def test_a_cut_off_candidate_has_a_second_round_unless_the_window_is_full(
    window: int, rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is a stand-in: it cuts off what has fewer than 40 tokens, and answers the first seed at once."""
    asked: list[list[dict[str, Any]]] = []

    def worker(_task: str, spec: dict[str, Any], on_message: Any, *_more: Any) -> None:
        asked.append([json.loads(line) for line in Path(spec["items"]).read_text().splitlines()])
        for item in asked[-1]:
            limit = min(item["max_tokens"], window)
            cut = limit < 40 and item["id"] > 0
            text = "The answer is forty-two."
            on_message({"kind": "started", "id": item["id"]})
            on_message({"kind": "delta", "id": item["id"], "text": text})
            done = {"text": text, "finish_reason": "length" if cut else "stop", "prompt_tokens": 5, "seconds": 1.0}
            on_message({"kind": "done", "id": item["id"], "completion_tokens": limit, "max_tokens": limit, **done})

    monkeypatch.setattr("faq_tui.core.regenerating.local.run_worker", worker)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    folder = local_run(tmp_path / "run", str(tmp_path / "model"), tmp_path / "model", more="candidates = 1")
    assert faq_tui("run", folder, "--until", "seeds").code == ExitCode.DONE
    heard: list[Event] = []
    with open_run(folder) as run:
        source = run.settings.sources["elder"]
        pending = pending_candidates(run, source)
        context = Context(run, heard.append, CancelToken(), "job")
        LocalGenerator(CandidateRecorder(context, "elder", source, RegenerationProgress(3), pending))(pending)
        assert pending_candidates(run, source) == []
    assert [[(item["id"], item["max_tokens"]) for item in items] for items in asked] == (
        [[(0, 24), (1, 24), (2, 24)], [(1, 48), (2, 48)]][:rounds]
    )
    assert sum(isinstance(event, CandidateRetried) for event in heard) == 2 * (rounds - 1)
    assert sum(isinstance(event, CandidateDone) for event in heard) == 3
    stored = rows(folder, "SELECT requests, flags FROM candidates ORDER BY id")
    repeated = (2, "[]") if rounds == 2 else (1, '["truncated"]')
    assert [tuple(row) for row in stored] == [(1, "[]"), repeated, repeated]


def test_no_such_model_is_one_sentence(model: Path, tmp_path: Path) -> None:
    folder = local_run(tmp_path / "run", "nowhere", model)
    said = refused(ExitCode.USAGE, "run", folder, *UNTIL)
    assert "sources.elder.model nowhere: no Hugging Face model folder at" in said


def test_a_stop_ends_it_within_a_token_and_keeps_what_is_finished(model: Path, tmp_path: Path) -> None:
    long = "sampling = { max_tokens = 900 }\nconcurrency = 1\n"
    folder = local_run(tmp_path / "run", model, model, seeds=40, more='on_truncated = "drop"\non_flagged = "drop"')
    settings = folder / "faq.toml"
    settings.write_text(settings.read_text().replace(f"{SAMPLING}\n", long))
    with started("run", folder, *UNTIL, "--json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b'"CandidateDone"' in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == ExitCode.STOPPED
    assert 1 <= len(rows(folder, "SELECT id FROM candidates")) < 120


def test_a_cancelled_task_stops_between_two_tokens(model: Path, tmp_path: Path) -> None:
    cancel, sent = CancelToken(), list[dict[str, Any]]()

    def send(kind: str, **body: Any) -> None:
        sent.append({"kind": kind, **body})
        if kind == "delta":
            cancel.set()

    items = tmp_path / "items.jsonl"
    item = {"id": 0, "messages": [{"role": "user", "content": "x"}], "template": {}, "seed": 0, "max_tokens": 800}
    items.write_text(json.dumps(item) + "\n")
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0}
    spec = {"model": str(model), "trust_remote_code": False, "device": "cpu", "dtype": "auto", "items": str(items)}
    with pytest.raises(Stopped):
        local_task.run({**spec, "sampling": sampling, "batch": 1}, send, cancel)
    assert [message["kind"] for message in sent] == ["started", "delta"]


# --- drawing ---

ROWS = st.lists(st.lists(st.floats(-8, 8, width=32), min_size=6, max_size=6), min_size=1, max_size=4)


@hypothesis_settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(-1, 7), st.floats(0.05, 1.0), st.floats(0.0, 1.0), st.floats(0.2, 2.0))
def test_only_tokens_that_the_settings_leave_are_drawn(
    logits: list[list[float]], top_k: int, top_p: float, min_p: float, temperature: float
) -> None:
    import torch

    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    dice = [random.Random(n) for n in range(len(logits))]
    drawn = next_tokens(torch.tensor(logits), sampling, dice)
    for row, token in zip(logits, drawn, strict=True):
        probs = torch.softmax(torch.tensor(row) / temperature, -1)
        larger = probs > probs[token]
        assert top_k <= 0 or int(larger.sum()) < top_k
        kept = probs.sort(descending=True).values[: top_k if top_k > 0 else None].sum()
        assert float(probs[larger].sum() / kept) <= top_p + 1e-4
        assert float(probs[token]) >= min_p * float(probs.max()) - 1e-6


def test_draws_follow_the_distribution_and_no_temperature_is_greedy() -> None:
    import torch

    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    plain = {"temperature": 1.0, "top_k": -1, "top_p": 1.0, "min_p": 0.0}
    die = random.Random(0)
    counted = Counter(next_tokens(logits, plain, [die])[0] for _ in range(4000))
    assert [round(counted[n] / 4000, 1) for n in range(3)] == [0.5, 0.3, 0.2]
    assert next_tokens(logits, {**plain, "temperature": 0.0}, [die]) == [0]
