"""Public benchmarks without any held-out text of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.run.run import open_run
from faq_tui.core.stages import evaluate
from tests.support.benchmark_bench import benchmark_run
from tests.support.evaluate_bench import context_of

NO_TEXTS = "perplexity = []\n"
ENGINES = {
    "lm_eval": '[evaluate.lm_eval]\ntasks = ["local_choice"]\n',
    "evalscope": '[evaluate.evalscope]\nbase_url = "serve"\ntasks = ["gsm8k"]\n',
}


def evaluated(folder: Path, settings: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The summary of the stage, whose benchmarks are not run."""

    def no_worker(*_: Any) -> None:
        raise AssertionError("the evaluation's worker has nothing to do")

    monkeypatch.setattr(evaluate, "run_worker", no_worker)
    monkeypatch.setattr(evaluate.evaluate_benchmarks, "execute", lambda *_: "; 3 of 3 benchmark tasks are done")
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
