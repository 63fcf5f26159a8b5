"""Public benchmarks without any held-out text of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.benchmarking.plan import wanted
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.report.document import document
from faq_tui.core.report.formats import render_document
from faq_tui.core.run.run import open_run
from faq_tui.core.stages import evaluate, evaluate_benchmarks
from faq_tui.core.store.benchmarks import Result, replace_results
from tests.support.benchmark_bench import BASELINE, ELDER, benchmark_run
from tests.support.evaluate_bench import context_of
from tests.support.schemas import valid

NO_TEXTS = "perplexity = []\n"
ENGINES = {
    "lm_eval": '[evaluate.lm_eval]\ntasks = ["local_choice"]\n',
    "evalscope": '[evaluate.evalscope]\nbase_url = "serve"\ntasks = ["gsm8k"]\n',
}


def evaluated(folder: Path, settings: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The summary of the stage, whose benchmarks are not run."""

    def no_worker(*_: Any) -> None:
        raise AssertionError("the evaluation's worker has nothing to do")

    monkeypatch.setattr(evaluate, "run_for_job", no_worker)
    monkeypatch.setattr(evaluate_benchmarks, "execute", lambda *_: "; 3 of 3 benchmark tasks are done")
    with benchmark_run(folder, settings) as run:
        toml = run.folder / "faq.toml"
        toml.write_text(toml.read_text().replace('perplexity = ["prose.txt"]\n', NO_TEXTS))
    with open_run(folder) as run:
        return evaluate.execute(context_of(run))


@pytest.mark.parametrize("engine", ENGINES)
def test_benchmarks_alone_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    assert evaluated(tmp_path, ENGINES[engine], monkeypatch) == "3 of 3 benchmark tasks are done"


def test_without_benchmarks_the_refusal_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"nothing to evaluate on: .* or tasks under \[evaluate.lm_eval\]"):
        evaluated(tmp_path, "", monkeypatch)


def test_the_report_shows_benchmarks_alone(tmp_path: Path) -> None:
    with benchmark_run(tmp_path, ENGINES["lm_eval"]) as run:
        toml = run.folder / "faq.toml"
        toml.write_text(toml.read_text().replace('perplexity = ["prose.txt"]\n', NO_TEXTS))
    with open_run(tmp_path) as run:
        with pytest.raises(UsageError, match="no public benchmark has a result yet, and the settings name"):
            document(run)
        for request in wanted(run):
            known = (*request.key, request.task, "acc", "", 0.5, 0.1, 6, 1, 0, "1", "0.4", True, None)
            replace_results(run.store, [Result(*known, request.signature)])
        body = document(run)
        valid("report", body)
        text = render_document(body, "md")
    assert [model["name"] for model in body["models"]] == [UNQUANTIZED, BASELINE, ELDER] and body["texts"] == []
    assert "No held-out text was measured. The section Benchmarks compares the models." in text
    assert "nothing to compare" not in text and text.count("| local_choice |") == 3 and "Evaluated on" not in text
