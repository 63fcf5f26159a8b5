"""What the report says of the judges."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from faq_tui.core.judging.identity import column_id, judge_id
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.report.formats import render
from faq_tui.core.run.run import Run
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.candidates import add as add_candidate
from faq_tui.core.store.judge_log import ProbeRow, ReplyKey, ReplyRow, add_reply, put_probe
from faq_tui.core.store.picks import ScoreRow, add_score
from faq_tui.core.store.seeds import Seed, assign_roles, replace_all
from tests.support.made_up import TOML, made_up_run, measure_all
from tests.support.schemas import schema

JUDGE = """
[judge]
kind = "llm"
base_url = "http://me:secret@judge:8000/v1"
model = "Judge-72B"
pick_by = { llm = 1.0, likelihood = 0.5 }
"""
PROBE = ProbeRow(0.55, 0.3, 0.78, {"marks": 24, "unread": 0, "mean": {"real": 9.0}, "auc": {"garbage": 0.55}})


def judged(run: Run) -> None:
    """Two seeds of two candidates; the second seed's winner changed with the order."""
    seeds = [Seed(({"role": "user", "content": text},), None, "x") for text in ("one", "two")]
    replace_all(run.store, seeds)
    assign_roles(run.store, [seed.id for seed in seeds], [])
    source_hash, llm = source_hash_of(run.settings.sources["elder"]), column_id(run, "llm")
    for row, seed in enumerate(seeds):
        for number in (1, 2):
            body = ("Big-8B", "none", "because", "so", "stop", (), 5, 9, 1.0, "none")
            i = add_candidate(run.store, Candidate(seed.id, "elder", number, source_hash, *body))
            places = (number - 1, 2 - number)
            orders = [[place, 8.0 - number if row == 0 else 9.0 - 2 * place] for place in places]
            mark = sum(mark for _, mark in orders) / 2
            add_score(run.store, ScoreRow(i, llm, "llm", mark, "so", {"orders": orders}))
            likelihood = column_id(run, "likelihood")
            add_score(run.store, ScoreRow(i, likelihood, "likelihood", -1.0 - i, "", {"tokens": 9}))
    add_reply(run.store, ReplyKey(llm, "u", 0), 0, ReplyRow("no", "it holds no JSON object"))
    put_probe(run.store, llm, PROBE)


def test_the_report_names_the_mix_each_kind_the_bias_and_the_probe(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "run", TOML + JUDGE) as run:
        measure_all(run, {"baseline": 0.1, "elder": 0.05})
        judged(run)
        text, body = render(run, "md"), json.loads(render(run, "json"))
        assert body["run"]["judge"]["judging"]["judge"] == judge_id(run)
    judge = schema("report")["properties"]["run"]["properties"]["judge"]
    jsonschema.Draft202012Validator(judge).validate(body["run"]["judge"])
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("- **Judge**"))
    found = " ".join(lines[start : start + 6])
    assert "a weighted mix of the judges' scores (z-scores within each seed): 1 × llm: Judge-72B at http" in found
    assert "0.5 × likelihood (how probable" in found and "secret" not in text
    assert "the LLM's mode: listwise; stored replies: 1; 1 of these replies did not fit the schema" in found
    assert "llm: 4 scored, 0 unscored, mean 7.250 (6.000 to 8.000)" in found
    assert "the order of the answers changed the winner of 1 of 2 seeds, and 1 of 2 ended in a tie" in found
    assert "AUC 0.55" in found and "below 0.7: its scores are unreliable" in found
