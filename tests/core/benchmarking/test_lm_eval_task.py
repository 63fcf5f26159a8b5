"""lm_eval on artefacts, without a network, on tasks made from local data."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import Stopped
from faq_tui.core.benchmarking.lm_eval_task import stoppable
from faq_tui.core.benchmarking.plan import missing
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.report.benchmarks import benchmarks, section
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, MeasurementReady, Note
from faq_tui.core.run.run import Run
from faq_tui.core.stages import evaluate_benchmarks
from faq_tui.core.store.benchmarks import Result, all_problems, all_results
from tests.support.benchmark_bench import BASELINE, ELDER, PROSE, QUESTIONS, benchmark_run, offline, repeat, target_of
from tests.support.evaluate_bench import context_of
from tests.support.schemas import schema

pytestmark = pytest.mark.slow

pytest.importorskip("lm_eval")

LM_EVAL = """
[evaluate.lm_eval]
tasks = ["local_choice", "local_hub", "local_prose", "local_typo"]
include_path = "tasks"
max_length = 64
"""


@dataclass
class Done:
    run: Run
    events: list[Event]
    summary: str

    def result(self, subject: str, name: str) -> Result:
        return next(r for r in all_results(self.run.store) if (r.subject, r.name) == (subject, name))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """The benchmarks' part of the stage, once."""
    with pytest.MonkeyPatch.context() as patch, benchmark_run(tmp_path_factory.mktemp("bench"), LM_EVAL) as run:
        for name, value in offline().items():
            patch.setenv(name, value)
        events: list[Event] = []
        summary = evaluate_benchmarks.execute(context_of(run, events.append), target_of(run))
        yield Done(run, events, summary)


def log_likelihood(model: Any, ids: list[int], first: int) -> float:
    with torch.no_grad():
        logs = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(logs[at - 1, ids[at]]) for at in range(first, len(ids)))


def test_numbers_are_those_of_a_plain_computation(done: Done) -> None:
    tokenizer = load_tokenizer(target_of(done.run))
    for subject in (UNQUANTIZED, BASELINE, ELDER):
        folder = done.run.folder / "target" if subject == UNQUANTIZED else done.run.models / subject
        model = load_dense(folder, torch.float32, "cpu")
        right = []
        for row in QUESTIONS:
            start = tokenizer(row["question"])["input_ids"]
            scores = []
            for choice in row["choices"]:  # type: ignore[attr-defined]
                whole = tokenizer(f"{row['question']} {choice}")["input_ids"]
                scores.append(log_likelihood(model, whole, len(start)))
            right.append(float(scores.index(max(scores)) == row["label"]))
        accuracy = done.result(subject, "local_choice")
        assert accuracy.items == tuple(right) and accuracy.value == pytest.approx(sum(right) / 6)
        total = words = 0.0
        for text in PROSE:
            ids = tokenizer(text)["input_ids"]
            total += log_likelihood(model, [tokenizer.bos_token_id, *ids], 1)
            words += len(text.split())
        prose = done.result(subject, "local_prose")
        assert prose.value == pytest.approx(float(torch.exp(torch.tensor(-total / words))), rel=1e-4)


def test_a_metric_whose_error_is_a_bootstrap(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    """lambada_openai of the paper has such a metric. lm_eval computes its error in further processes by default."""
    for name, value in offline().items():
        monkeypatch.setenv(name, value)
    with repeat(done.run, LM_EVAL.replace("local_hub", "local_likely").replace(', "local_typo"', "")) as run:
        context = context_of(run)
        hanging = threading.Timer(60, context.cancel.set)
        hanging.start()
        evaluate_benchmarks.execute(context, target_of(run))
        hanging.cancel()
        tokenizer = load_tokenizer(target_of(run))
        model = load_dense(run.folder / "target", torch.float32, "cpu")
        logs = []
        for row in QUESTIONS:
            whole = tokenizer(f"{row['question']} {row['choices'][row['label']]}")["input_ids"]  # type: ignore[index]
            logs.append(log_likelihood(model, whole, len(tokenizer(row["question"])["input_ids"])))
        found = next(r for r in all_results(run.store) if (r.subject, r.name) == (UNQUANTIZED, "local_likely"))
        assert found.items == pytest.approx(logs, abs=1e-4)
        assert found.value == pytest.approx(math.exp(-sum(logs) / len(logs)), rel=1e-4)
        assert found.stderr is not None and found.value is not None and 0 < found.stderr < found.value


def test_what_is_stored_says_how_it_was_measured(done: Done) -> None:
    found = done.result(ELDER, "local_choice")
    assert (found.metric, found.n, found.repeats, found.num_fewshot) == ("acc", 6, 1, 0)
    assert found.version == "1.5" and found.engine_version.startswith("0.4.") and found.higher_is_better
    assert found.stderr is not None
    assert done.result(ELDER, "local_prose").stderr is None, "lm_eval has none for a perplexity of words"
    told = [e for e in done.events if isinstance(e, MeasurementReady) and e.text == "lm_eval local_choice"]
    assert [e.subject for e in told] == [UNQUANTIZED, BASELINE, ELDER]


def test_a_task_without_data_or_name_is_one_warning_and_the_others_go_on(done: Done) -> None:
    warnings = [e.message for e in done.events if isinstance(e, Note) and e.level == "warning"]
    about = [w for w in warnings if "local_" in w]
    assert len(about) == 2
    assert "the data of local_hub (lm_eval) cannot be loaded" in about[0] and "check the network" in about[0]
    assert "lm_eval has no task 'local_typo'" in about[1]
    assert len(all_problems(done.run.store)) == 6
    assert done.summary.endswith("; 6 of 12 benchmark tasks are done; the warnings name the others")


def test_both_reports_hold_results_and_what_is_missing(done: Done) -> None:
    body = {"benchmarks": benchmarks(done.run)}
    text = "\n".join(section(body))
    assert text.startswith("## Benchmarks")
    row = next(line for line in text.splitlines() if "local_choice" in line and ELDER in line)
    assert "±" in row, "the paired difference from the baseline"
    assert f"local_hub on unquantized, {BASELINE}, {ELDER}: the data of local_hub" in text
    whole = schema("report")
    jsonschema.validate(body["benchmarks"], {**whole["properties"]["benchmarks"], "$defs": whole.get("$defs", {})})
    assert len(body["benchmarks"]["results"]) == 6 and len(body["benchmarks"]["missing"]) == 6
    by_name = {(r["subject"], r["name"]): r for r in body["benchmarks"]["results"]}
    ours, base = (done.result(s, "local_choice").items for s in (ELDER, BASELINE))
    assert ours is not None and base is not None
    difference = by_name[ELDER, "local_choice"]["difference"]
    assert difference["to"] == BASELINE
    assert difference["value"] == pytest.approx(sum(a - b for a, b in zip(ours, base, strict=True)) / 6)


def test_the_second_time_only_what_is_missing_is_tried(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in offline().items():
        monkeypatch.setenv(name, value)
    before = all_results(done.run.store)
    assert not evaluate_benchmarks.intact(done.run)
    settings = LM_EVAL.replace('"local_hub", ', "").replace(', "local_typo"', "")
    with repeat(done.run, settings) as run:
        assert evaluate_benchmarks.intact(run)
        events: list[Event] = []
        evaluate_benchmarks.execute(context_of(run, events.append), target_of(run))
        assert events == [] and all_results(run.store) == before
        assert not benchmarks(run)["missing"]
    with repeat(done.run, settings.replace("max_length = 64", "max_length = 64\nlimit = 3")) as run:
        assert len(missing(run)) == 6
    (done.run.folder / "tasks" / "prose.jsonl").open("a").write('{"text": "More."}\n')
    with repeat(done.run, settings) as run:
        assert len(missing(run)) == 6, "another text is another task"


def test_a_stop_is_obeyed_before_a_model_and_between_two_batches(tmp_path: Path) -> None:
    cancel, asked = CancelToken(), list[int]()
    call = stoppable(asked.append, cancel)
    call(1)
    cancel.set()
    with pytest.raises(Stopped):
        call(2)
    assert asked == [1]
    with benchmark_run(tmp_path, LM_EVAL) as run:
        with pytest.raises(Stopped):
            evaluate_benchmarks.execute(Context(run, lambda event: None, cancel, "job"), target_of(run))
        assert all_results(run.store) == [] and all_problems(run.store) == {}
