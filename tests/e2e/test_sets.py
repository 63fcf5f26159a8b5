"""Every kind of calibration set through the command, on the real small model, over its real server."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer
from tests.support.schemas import valid
from tests.support.shell import faq_tui

SETTINGS = """
[target]
model = "embedded"
[seeds]
path = "seeds.jsonl"
count = 6
heldout = 2
[sources.self]
base_url = "{url}"
model = "SmolLM2-135M-Instruct"
candidates = 1
concurrency = 3
reasoning = "prompted"
sampling = {{ temperature = 0.7, top_p = 0.9, top_k = 40, min_p = 0.05, max_tokens = 320 }}
[judge]
kind = "likelihood"
[assemble]
max_tokens = 256
[sets.baseline-raw]
[sets.baseline-original]
[sets.blend]
from = {{ self = 0.5, baseline = 0.5 }}
[sets.questions]
kind = "template"
match = {{ tokens = "self" }}
[sets.raw-tokens]
kind = "raw"
match = {{ tokens = "self" }}
[sets.short]
from = "self"
tokens_per_sample = 96
match = {{ samples = "blend" }}
select = "diversity"
[[recipes]]
group_size = 64
sets = ["baseline", "self", "blend"]
"""
NAMES = ["baseline", "self", "baseline-tokens", "self-tokens", "baseline-raw", "baseline-original", "blend"]
NAMES += ["questions", "raw-tokens", "short"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a few minutes alone, many beside other work


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, embedded_model: EmbeddedModel, embedded_server: EmbeddedServer
) -> Path:
    run = tmp_path_factory.mktemp("sets")
    subjects = ["a kettle", "a bicycle", "the moon", "a library", "bread", "a river", "wool", "glass", "ink", "a cup"]
    asked = "Say in one or two sentences what {} is good for, and why people came to want one."
    lines = [
        {"question": asked.format(f"{subject} of kind {n}"), "answer": f"People want {subject} since it helps them."}
        for n in range(6)
        for subject in subjects
    ]
    (run / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (run / "faq.toml").write_text(SETTINGS.format(url=embedded_server.base_url), encoding="utf-8")
    done = faq_tui("run", run, "--until", "assemble", "--json")
    assert done.code == 0, done.err
    (run / "stdout.jsonl").write_text(done.out, encoding="utf-8")
    return run


def lines_of(run: Path, name: str) -> list[dict[str, Any]]:
    with (run / "calibration" / f"{name}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def tokens_of(run: Path, name: str) -> int:
    return sum(len(line["input_ids"]) for line in lines_of(run, name))


def test_every_set_is_made(finished: Path) -> None:
    status = json.loads(faq_tui("status", finished, "--json").out)
    valid("status", status)
    assert [row["name"] for row in status["sets"]] == NAMES
    assert sorted(path.stem for path in (finished / "calibration").glob("*.jsonl")) == sorted(NAMES)
    for row in status["sets"]:
        assert row["samples"] == len(lines_of(finished, row["name"])) > 0
        assert row["tokens"] == tokens_of(finished, row["name"])
        assert row["tokens_full"] * row["kept"] == pytest.approx(row["tokens"])
    shown = faq_tui("status", finished).out
    assert "whole answers" in shown and "baseline-original" in shown


def test_the_baselines_are_raw_templated_and_with_the_original_answer(
    finished: Path, embedded_model: EmbeddedModel
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
    db = sqlite3.connect(finished / "faq.db")
    for name in ("questions", "baseline-original", "baseline-raw"):
        lines = lines_of(finished, name)
        whole = [line for line in lines if line["n_tokens"] == line["n_tokens_full"]]
        assert len(whole) >= len(lines) - (2 if name == "questions" else 0)  # that one is cut at its end to match
        for line in whole:
            query = "SELECT messages, answer FROM seeds WHERE id = ?"
            messages, answer = db.execute(query, (line["seed_id"],)).fetchone()
            conversation = json.loads(messages)
            if name == "baseline-raw":
                expected = f"{conversation[0]['content']}\n\n{answer}"
            else:
                said = [{"role": "assistant", "content": answer}] if name == "baseline-original" else []
                expected = tokenizer.apply_chat_template([*conversation, *said], tokenize=False)
            assert tokenizer.decode(line["input_ids"]) == expected == line["text"]


def test_the_blend_is_half_and_half(finished: Path) -> None:
    by = [line["source"] for line in lines_of(finished, "blend")]
    assert abs(by.count("self") - by.count("baseline")) <= 1
    both = [*lines_of(finished, "self"), *lines_of(finished, "baseline")]
    whole = {(line["source"], line["seed_id"]): line for line in both}
    assert all(whole[line["source"], line["seed_id"]] == line for line in lines_of(finished, "blend"))


@pytest.mark.parametrize("name", ["questions", "raw-tokens"])
def test_sets_matched_by_tokens_differ_by_less_than_half_a_percent(finished: Path, name: str) -> None:
    wanted = tokens_of(finished, "self")
    assert abs(tokens_of(finished, name) - wanted) < 0.005 * wanted
    twins = [tokens_of(finished, f"{twin}-tokens") for twin in ("baseline", "self")]
    assert abs(twins[0] - twins[1]) < 0.005 * twins[0]
    assert min(len(line["input_ids"]) for set_name in NAMES for line in lines_of(finished, set_name)) >= 11


def test_sets_matched_by_samples_and_cut_to_a_budget(finished: Path) -> None:
    short = lines_of(finished, "short")
    assert len(short) == len(lines_of(finished, "blend"))
    assert max(len(line["input_ids"]) for line in short) <= 96


def test_a_second_run_does_nothing(finished: Path) -> None:
    again = faq_tui("run", finished, "--until", "assemble", "--json")
    assert {json.loads(line)["event"] for line in again.out.splitlines()} == {"StageSkipped"}
