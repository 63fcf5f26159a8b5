"""lm_eval and evalscope on a server that faq-tui starts for each model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.run.events import Event, Note
from faq_tui.core.run.run import Run
from faq_tui.core.stages import evaluate_benchmarks
from faq_tui.core.store.benchmarks import all_problems, all_results
from tests.support import scoring_server
from tests.support.benchmark_bench import BASELINE, QUESTIONS, benchmark_run, offline, target_of
from tests.support.evaluate_bench import context_of

pytestmark = pytest.mark.slow

pytest.importorskip("lm_eval")

# Stands for the Python of an environment with evalscope: it writes what evalscope_runner.py would write.
EVALSCOPE = """
import json, sys
if sys.argv[1] != "-c":
    order = json.load(open(sys.argv[2]))
    metric = {"identity": {"name": "accuracy"}, "score": 0.5, "num": 2, "categories": []}
    body = {"report": {"metrics": [metric]}, "scores": [], "num_fewshot": 0, "version": "1"}
    json.dump({**body, "evalscope_version": order["config"]["model"]}, open(sys.argv[3], "w"))
"""


def settings(folder: Path, window: int, lm_eval: str = "") -> str:
    python = folder / "evalscope-python"
    python.write_text(f"#!{sys.executable}\n{EVALSCOPE}")
    python.chmod(0o700)
    command = [sys.executable, scoring_server.__file__, "{port}", "{name}", str(window), str(folder / "starts")]
    return f"""
[evaluate.lm_eval]
tasks = ["local_likely"]
include_path = "tasks"
mode = "endpoint"
base_url = "serve"
batch_size = 2
{lm_eval}
[evaluate.evalscope]
tasks = ["general_mcq"]
python = "./evalscope-python"
[evaluate.serve]
command = {json.dumps(command)}
"""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in offline().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def measured(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Run, list[str]]]:
    """The run after the benchmarks, and the warnings."""
    with benchmark_run(tmp_path, settings(tmp_path, *request.param), (BASELINE,)) as run:
        events: list[Event] = []
        evaluate_benchmarks.execute(context_of(run, events.append), target_of(run))
        yield run, [e.message for e in events if isinstance(e, Note) and e.level == "warning"]


@pytest.mark.parametrize("measured", [(48,)], indirect=True)
def test_each_model_is_served_once_for_both_programs(measured: tuple[Run, list[str]]) -> None:
    run, warnings = measured
    assert not warnings
    assert (run.folder / "starts").read_text().split() == ["target", BASELINE]
    found = {(r.subject, r.engine): r for r in all_results(run.store)}
    assert found[UNQUANTIZED, "evalscope"].engine_version == "target"
    assert found[BASELINE, "evalscope"].engine_version == BASELINE
    tokenizer = load_tokenizer(target_of(run))
    expected = []
    for row in QUESTIONS:
        start = tokenizer(row["question"])["input_ids"]
        whole = tokenizer(f"{row['question']} {row['choices'][row['label']]}")["input_ids"]  # type: ignore[index]
        expected.append(sum(map(scoring_server.score, whole[len(start) :])))
    assert found[BASELINE, "lm_eval"].items == pytest.approx(expected)


@pytest.mark.parametrize("measured", [(20,)], indirect=True)
def test_prompts_are_cut_to_the_window_that_the_server_lists(measured: tuple[Run, list[str]]) -> None:
    run, warnings = measured
    assert not warnings
    assert {r.n for r in all_results(run.store) if r.engine == "lm_eval"} == {6}


@pytest.mark.parametrize("measured", [(20, "max_length = 48")], indirect=True)
def test_a_refused_request_is_not_taken_for_missing_data(measured: tuple[Run, list[str]]) -> None:
    run, warnings = measured
    assert len(warnings) == 2, "one for each model, because each server has its own port"
    for warning in warnings:
        assert "local_likely of lm_eval: the server refused a request (400" in warning
        assert "read its reason in the job's log.txt" in warning
    assert "maximum context length is 20 tokens" in run.log("job").read_text()
    assert {r.engine for r in all_results(run.store)} == {"evalscope"}, "the other program is not affected"


def test_a_missing_folder_is_found_before_a_server_starts(tmp_path: Path) -> None:
    toml = settings(tmp_path, 48).replace('"tasks"', '"no-tasks"').replace("evalscope-python", "no-python")
    with benchmark_run(tmp_path, toml, (BASELINE,)) as run:
        evaluate_benchmarks.execute(context_of(run), target_of(run))
        problems = sorted({problem for _key, problem in all_problems(run.store).items()})
        assert "no-python cannot be run" in problems[0] and "there is no folder" in problems[1]
    assert not (tmp_path / "starts").exists()
