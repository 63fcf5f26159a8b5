"""What the report says of benchmarks: each model against the baseline of its own recipe and draw."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faq_tui.core.benchmarking.plan import wanted
from faq_tui.core.report.benchmarks import benchmarks, section
from faq_tui.core.run.run import open_run
from faq_tui.core.store.benchmarks import replace_results
from tests.support.made_up import TOML, made_up_result, made_up_run

DRAWN = TOML + 'repeats = 2\n[evaluate.lm_eval]\ntasks = ["piqa"]\n'
SETS = tuple(f"{name}{draw}" for draw in ("", "-r2") for name in ("baseline", "elder", "elder-tokens"))


def test_each_draw_is_held_against_the_baseline_of_the_same_draw(tmp_path: Path) -> None:
    with made_up_run(tmp_path, DRAWN, (*SETS, "baseline-tokens", "baseline-tokens-r2")) as run:
        for number, request in enumerate(wanted(run)):
            items = tuple(float(number * item) for item in range(1, 5))
            replace_results(run.store, [made_up_result(request, items)])
        rows = {row["subject"]: row for row in benchmarks(run)["results"]}
    against = {name: row["difference"]["to"] for name, row in rows.items() if row["difference"]}
    name = "gptq-w4g64-{}".format
    assert against == {
        name(f"elder{more}{draw}"): name(f"baseline{more}{draw}") for more in ("", "-tokens") for draw in ("", "-r2")
    }
    ours, theirs = rows[name("elder-r2")], rows[name("baseline-r2")]
    assert ours["difference"]["value"] == ours["value"] - theirs["value"] != 0


def test_a_perplexity_differs_in_its_own_unit_and_other_sums_of_items_do_not_differ(tmp_path: Path) -> None:
    """lm_eval keeps each item's log-likelihood under the name `perplexity`; the value is exp of minus their mean."""
    dice = np.random.default_rng(3)
    hard = -1.6 + 0.8 * dice.standard_normal(200)
    drawn = {"baseline": hard, "elder": hard - 0.4 + 0.05 * dice.standard_normal(200)}
    with made_up_run(tmp_path, TOML + '[evaluate.lm_eval]\ntasks = ["lambada_openai"]\n', tuple(drawn)) as run:
        for request in wanted(run):
            each = drawn.get(request.subject.rpartition("-")[2], hard)
            of_items = made_up_result(request, tuple(each.tolist()))
            perplexity = replace(of_items, metric="perplexity", value=math.exp(-each.mean()), higher_is_better=False)
            median = replace(of_items, metric="median", value=float(np.median(each)) - 1.0)
            replace_results(run.store, [perplexity, median])
        body = {"benchmarks": benchmarks(run)}
    rows = {row["metric"]: row for row in body["benchmarks"]["results"] if row["subject"].endswith("-elder")}
    assert rows["median"]["difference"] is None
    found = rows["perplexity"]["difference"]
    ours, theirs = (math.exp(-drawn[name].mean()) for name in ("elder", "baseline"))
    assert found["value"] == pytest.approx(ours - theirs) and found["value"] > 1.0  # worse: lower is better
    picks = dice.integers(0, 200, (4000, 200))
    resampled = np.exp(-drawn["elder"][picks].mean(axis=1)) - np.exp(-drawn["baseline"][picks].mean(axis=1))
    assert found["stderr"] == pytest.approx(resampled.std(), rel=0.1)
    assert f"{found['value']:+.4f} ± {found['stderr']:.4f}" in "\n".join(section(body))


SERVED = """
[evaluate.lm_eval]
tasks = ["piqa"]
mode = "endpoint"
base_url = "http://one:8000/v1"
[evaluate.evalscope]
tasks = ["math_500"]
base_url = "serve"
[evaluate.serve]
command = ["vllm", "serve", "{folder}", "--dtype", "float16"]
ready_timeout_s = 60
"""


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ('"float16"', '"bfloat16"', {"math_500"}),
        ('"http://one:8000/v1"', '"http://two:8000/v1"', {"piqa"}),
        ('"http://one:8000/v1"', '"serve"', {"piqa"}),
        ('base_url = "serve"', 'dataset_hub = "huggingface"', {"math_500"}),
        ("ready_timeout_s = 60", "ready_timeout_s = 90", set()),
    ],
)
def test_another_way_of_serving_is_another_measurement(tmp_path: Path, old: str, new: str, stale: set[str]) -> None:
    with made_up_run(tmp_path, TOML + SERVED, ("baseline", "elder")) as run:
        for request in wanted(run):
            replace_results(run.store, [made_up_result(request, (0.0, 1.0, 1.0))])
        assert not benchmarks(run)["missing"]
    (tmp_path / "faq.toml").write_text((TOML + SERVED).replace(old, new))
    with open_run(tmp_path) as run:
        body = benchmarks(run)
    assert {row["task"] for row in body["missing"]} == stale
    assert {row["task"] for row in body["results"]} == {"piqa", "math_500"} - stale
