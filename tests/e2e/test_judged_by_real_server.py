"""Three seeds regenerated three times by a real server, then judged by the same one, and by the target itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer
from tests.support.schemas import valid
from tests.support.shell import faq_tui, rows

# A minute or three alone, many beside other work.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SLOT_TOKENS = 1024  # of the embedded server: a judge's prompt and reply together
QUESTIONS = (
    "What is the capital of France?",
    "Which animal says meow?",
    "What do bees make?",
)
SETTINGS = """
[target]
model = "{target}"
[seeds]
path = "seeds.jsonl"
count = 3
heldout = 0
[sources.elder]
base_url = "{url}"
model = "SmolLM2-135M-Instruct"
candidates = 3
concurrency = 8
reasoning = "off"
sampling = {{ temperature = 0.7, top_p = 0.9, top_k = 40, min_p = 0.05, max_tokens = 64 }}
[judge]
kind = "llm"
base_url = "{url}"
model = "SmolLM2-135M-Instruct"
max_model_len = {window}
max_tokens = 180
probe = 1
columns = ["likelihood", "activation"]
pick_by = {{ llm = 1.0, likelihood = 1.0 }}
"""


@pytest.fixture(scope="module")
def judged(
    tmp_path_factory: pytest.TempPathFactory, embedded_model: EmbeddedModel, embedded_server: EmbeddedServer
) -> Path:
    run = tmp_path_factory.mktemp("run")
    seeds = [{"question": f"{text} Answer with one short sentence."} for text in QUESTIONS]
    (run / "seeds.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in seeds), encoding="utf-8")
    text = SETTINGS.format(target=embedded_model.folder, url=embedded_server.base_url, window=SLOT_TOKENS)
    (run / "faq.toml").write_text(text, encoding="utf-8")
    for stage in ("seeds", "regenerate", "judge"):
        done = faq_tui("run", run, "--only", stage)
        assert done.code == 0, done.err
    return run


def status_of(run: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(faq_tui("status", run, "--json").out)
    valid("status", body)
    return body


def test_status_shows_the_candidates_and_every_kinds_marks(judged: Path) -> None:
    body = status_of(judged)
    source, judging = body["sources"]["elder"], body["judging"]
    fit = source["candidates"] - source["unfit"]
    assert source["candidates"] == source["wanted"] == 9 and fit >= 6
    assert [(c["kind"], c["scored"] + c["unscored"]) for c in judging["columns"]] == [
        (kind, fit) for kind in ("llm", "likelihood", "activation")
    ]
    llm, likelihood, activation = judging["columns"]
    assert llm["scored"] >= fit - 1 and 1 <= llm["low"] <= llm["high"] <= 10
    assert likelihood["scored"] == fit and likelihood["high"] < 0
    assert activation["scored"] == fit and 0 <= activation["low"] <= activation["high"] <= 1
    assert judging["probe"]["marks"] == 2 and judging["probe"]["auc"] is not None
    picks = rows(judged, "SELECT DISTINCT seed_id FROM picks WHERE action = 'pick'")
    assert len(picks) == source["picked"] >= 2


def test_the_server_held_its_model_to_the_schema_in_both_forms(judged: Path) -> None:
    """Most seeds' two or three fit answers go into a slot together; what does not is marked one by one."""
    parts = {"reason", "correctness", "soundness", "completeness", "form", "overall"}
    kept = rows(judged, "SELECT raw, error FROM judge_replies")
    fitting = [json.loads(raw) for raw, error in kept if not error]
    assert len(fitting) >= 0.9 * len(kept)
    together = [body for body in fitting if set(body) in ({"A", "B"}, {"A", "B", "C"})]
    assert len(together) >= 3
    for body in fitting:
        assert all(parts == set(one) for one in ([body] if parts == set(body) else body.values()))
    modes = [json.loads(text)["mode"] for (text,) in rows(judged, "SELECT details FROM scores WHERE kind = 'llm'")]
    orders = status_of(judged)["judging"]["orders"]
    assert orders["seeds"] >= 1 and orders["seeds"] * 2 <= modes.count("listwise")
    assert len(orders["mean_by_place"]) == 3


def test_judging_again_asks_nothing(judged: Path) -> None:
    before = rows(judged, "SELECT count(*) FROM judge_replies"), rows(judged, "SELECT count(*) FROM scores")
    done = faq_tui("run", judged, "--only", "judge")
    assert done.code == 0 and "judge: up to date" in done.err
    assert (rows(judged, "SELECT count(*) FROM judge_replies"), rows(judged, "SELECT count(*) FROM scores")) == before
