"""The stages evaluate and report with the small real model: lm_eval in a worker, evalscope with the real server.

Both use local data and no network, and the report contains the results of both.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.benchmarking.serving import without_proxy
from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer
from faq_tui.core.run.run import open_run
from faq_tui.core.stages import evaluate, evaluate_benchmarks, report
from faq_tui.core.store.benchmarks import all_results
from tests.support.benchmark_bench import evalscope_python, offline, target_of, write_tasks
from tests.support.evaluate_bench import context_of
from tests.support.shell import faq_tui

pytestmark = pytest.mark.slow

TOML = """
[target]
model = "embedded"
device = "cpu"
[seeds]
path = "starter"
heldout = 0
[evaluate]
perplexity = ["prose.txt"]
last_word = []
multiple_choice = []
window = 32
prose_tokens = 64
[evaluate.lm_eval]
tasks = ["local_choice", "local_prose"]
include_path = "tasks"
[evaluate.evalscope]
tasks = ["general_mcq"]
python = "{python}"
base_url = "{url}"
dataset_dir = "data"
concurrency = 2
sampling = {{ temperature = 0.0, max_tokens = 8 }}
"""


@pytest.fixture
def run_folder(tmp_path: Path, embedded_model: EmbeddedModel, embedded_server: EmbeddedServer) -> Path:
    write_tasks(tmp_path / "tasks")
    (tmp_path / "prose.txt").write_text("A calm dog is better company than a loud one, and it sleeps more. " * 9)
    data = tmp_path / "data" / "general_mcq"
    data.mkdir(parents=True)
    rows = [{"question": f"Which is an animal? ({n})", "A": "dog", "B": "stone", "answer": "A"} for n in range(3)]
    (data / "default_val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    python = evalscope_python() or "python-with-evalscope"
    (tmp_path / "faq.toml").write_text(TOML.format(python=python, url=embedded_server.base_url))
    return tmp_path


def test_both_programs_land_in_the_report(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    # The environment in which lm_eval runs: both workers come from the same fork server.
    for name, value in {**offline(), **without_proxy()}.items():
        monkeypatch.setenv(name, value)
    with open_run(run_folder) as run:
        summary = evaluate.execute(context_of(run))
        report.execute(context_of(run))
    body = json.loads((run_folder / "reports" / "report.json").read_text())["benchmarks"]
    by_task = {result["name"]: result for result in body["results"]}
    # It knows that a dog is an animal.
    assert by_task["local_choice"]["value"] == 1.0 and by_task["local_choice"]["subject"] == "unquantized"
    assert 1.0 < by_task["local_prose"]["value"] < 50_000
    text = (run_folder / "reports" / "report.md").read_text()
    assert "## Benchmarks" in text and "local_choice" in text
    if evalscope_python() is None:
        assert "python-with-evalscope cannot be run" in text and "2 of 3 benchmark tasks are done" in summary
    else:
        mcq = by_task["general_mcq"]
        assert (mcq["engine"], mcq["n"], mcq["metric"]) == ("evalscope", 3, "accuracy")
        assert summary.endswith("3 of 3 benchmark tasks are done") and not body["missing"]
    status = json.loads(faq_tui("status", run_folder, "--json").out)["benchmarks"]
    assert [b["done"] for b in status] == [True, True, evalscope_python() is not None]


def test_lm_eval_over_http_asks_the_same_model(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    for name, value in offline().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    toml = (run_folder / "faq.toml").read_text().partition("[evaluate.lm_eval]")[0]
    server = 'mode = "endpoint"\nbase_url = "embedded"\n'
    toml += f'[evaluate.lm_eval]\ntasks = ["local_word"]\ninclude_path = "tasks"\n{server}'
    (run_folder / "faq.toml").write_text(toml)
    with open_run(run_folder) as run:
        context = context_of(run)
        with context.resources:
            summary = evaluate_benchmarks.execute(context, target_of(run))
        (found,) = all_results(run.store)
    assert summary == "; 1 of 1 benchmark tasks are done"
    assert (found.name, found.metric, found.n) == ("local_word", "exact_match", 6) and found.value is not None
