"""Metrics as objects: each is whole, every screen takes its words from it, and another package can add one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from faq_tui.core.base.errors import FaqError
from faq_tui.core.evaluation.compare import compare, decode_token_kl
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, GREEDY, KINDS, LAST_WORD, PROSE, WORDS
from faq_tui.core.evaluation.metrics import KL, KlDivergence, Metric, Ratio, all_metrics, main_metric, metrics_of
from faq_tui.core.extensions import METRICS
from faq_tui.core.models.backbone import LmHead
from faq_tui.core.report.document import document
from faq_tui.core.report.formats import render
from faq_tui.core.run.events import Event, MeasurementReady
from faq_tui.core.run.run import Run
from faq_tui.core.stages import evaluate, report
from faq_tui.core.store.measurements import all_measurements, token_kl_of
from faq_tui.tui.panes.evidence import words
from faq_tui.tui.panes.evidence.data import EvidenceViewState, read
from faq_tui.tui.panes.evidence.table import as_text
from faq_tui.tui.panes.evidence.table import rows as table_rows
from tests.core.stages.test_evaluate import ALL, FOLDERS, tiny_run
from tests.support.evaluate_bench import context_of
from tests.support.made_up import made_up_run, measure_all
from tests.support.paths import EXTENSION_PACKAGE, ROOT
from tests.support.toy_package import forget_packages

TOY = "toy_tail_kl"
BUILTIN = [METRICS.get(name) for name in METRICS.builtin]


@contextmanager
def installed(point: object = None) -> Iterator[None]:
    """As if the toy package were installed, here and in child processes; or this one entry point."""
    forget_packages()
    try:
        with pytest.MonkeyPatch.context() as patch:
            if point is None:
                patch.syspath_prepend(EXTENSION_PACKAGE)
                patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{EXTENSION_PACKAGE}")
            else:
                METRICS.__dict__["_found"] = {point.name: point}  # type: ignore[attr-defined]
            yield
    finally:
        forget_packages()


class Point:
    """An entry point of another package."""

    dist = None
    value = "somewhere:METRIC"

    def __init__(self, metric: Metric) -> None:
        self.metric, self.name = metric, metric.name

    def load(self) -> Metric:
        return self.metric


@pytest.mark.parametrize("metric", BUILTIN, ids=[metric.name for metric in BUILTIN])
def test_every_metric_is_whole(metric: Metric) -> None:
    assert metric.faults() == []
    assert re.fullmatch(r"[A-Z].*[^.]\.", metric.help) and metric.title and metric.unit
    assert isinstance(metric.higher_is_better, bool)
    assert set(metric.close) <= set(metric.kinds) and all(close > 0 for close in metric.close.values())
    assert type(metric).__doc__ and type(metric).__doc__ is not Ratio.__doc__, "its formula"
    assert metric.name in METRICS.builtin and METRICS.get(metric.name) is metric


def test_the_metrics_of_each_kind_come_with_the_main_one_first() -> None:
    assert {kind: [metric.name for metric in metrics_of(kind)] for kind in KINDS} == {
        PROSE: ["kl", "perplexity", "top1", "kl_p99", "kl_unsure", "kl_sure"],
        ANSWERS: [
            *("kl", "perplexity", "top1", "kl_p99", "kl_unsure", "kl_sure", "kl_reasoning", "kl_answer", "departure"),
        ],
        WORDS: ["word_perplexity", "byte_perplexity", "kl", "top1", "kl_p99"],
        LAST_WORD: ["accuracy", "last_perplexity", "kl", "flips"],
        CHOICES: ["accuracy", "accuracy_norm", "flips"],
        GREEDY: ["greedy_departure", "greedy_length", "greedy_unended"],
    }
    assert main_metric(PROSE) is KL


@pytest.mark.parametrize("metric", BUILTIN, ids=[metric.name for metric in BUILTIN])
def test_the_pane_has_the_direction_of_every_metric(metric: Metric) -> None:
    goal = "higher" if metric.higher_is_better else "lower"
    assert words.heading(metric.name, "a text", None).endswith(f"on a text · {goal} is better")
    shown = words.value(metric.name, 0.25)
    assert shown == ("25.0%" if metric.percent else f"{0.25:.{metric.decimals}f}")


@pytest.mark.parametrize("missing", ["title", "help", "unit", "higher_is_better", "close", "kinds"])
def test_a_metric_that_lacks_something_is_refused_in_a_sentence(missing: str) -> None:
    class Half(KlDivergence):
        name = "half"

    setattr(Half, missing, None)
    with (
        installed(Point(Half())),
        pytest.raises(FaqError, match=f"^the metric 'half' has no {missing}: update or uninstall the package"),
    ):
        all_metrics()


def test_a_token_column_of_questions_is_refused() -> None:
    class OfChoices(KlDivergence):
        name, token_column = "of_choices", "of_choices"

    metric = OfChoices()
    metric.kinds = (*metric.kinds[:3], CHOICES)
    with installed(Point(metric)), pytest.raises(FaqError, match="texts of the kind 'choices' are not compared"):
        metrics_of(PROSE)


def test_a_metric_whose_code_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    head = LmHead(torch.eye(4), None, 1.0, None)
    with installed():
        toy = METRICS.get(TOY)
        numbers = compare(torch.eye(4), [0, 1, 2, 3], head, None, metrics=[toy])
        assert numbers[TOY] == 0.0, "the unquantized model against itself"
        monkeypatch.setattr(type(toy), "token_values", lambda self, p, q, targets: p)
        with pytest.raises(FaqError, match=r"'toy_tail_kl' failed \(ValueError: it has shape \(4, 4\), not \(4,\)"):
            compare(torch.eye(4), [0, 1, 2, 3], head, None, metrics=[toy])
        monkeypatch.setattr(type(toy), "token_values", lambda self, p, q, targets: 1 // 0)
        with pytest.raises(FaqError, match=r"'toy_tail_kl' failed \(ZeroDivisionError"):
            compare(torch.eye(4), [0, 1, 2, 3], head, None, metrics=[toy])


def test_a_metric_of_existing_columns_needs_no_new_measurement(tmp_path: Path) -> None:
    class Bits(Ratio):
        """sum of kl / sum of tokens / ln 2."""

        name, title, unit = "bits", "bits [of] KL", "bits a token"
        help = "KL in bits."
        numerator, denominator = "kl", "tokens"
        kinds, close, higher_is_better = (PROSE,), {PROSE: 9.0}, False
        heading = "KL bits"

    with made_up_run(tmp_path) as run:
        measure_all(run, {"baseline": 0.30, "elder": 0.20})
        measured, reported = evaluate.signature(run), report.signature(run)
        before = render(run, "json")
        with installed(Point(Bits())):
            assert evaluate.signature(run) == measured and report.signature(run) != reported
            body, text = document(run), render(run, "md")
        assert render(run, "json") == before and report.signature(run) == reported
    prose = next(found for found in body["texts"] if found["kind"] == PROSE)
    assert prose["metrics"] == ["kl", "perplexity", "top1", "bits"]
    assert "KL bits" in text and "- **KL bits**: KL in bits." in text
    assert r"bits \[of\] KL" in text and r"a bits \[of\] KL difference below 9.0 can change its sign" in text


# ---- the package outside faq-tui that docs/extending/metric.md shows


def test_the_page_shows_the_code_that_is_tested() -> None:
    page = (ROOT / "docs" / "extending" / "metric.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert blocks == [(EXTENSION_PACKAGE / "faq_toy" / "metric.py").read_text(encoding="utf-8")]
    name, value = re.findall(r'"faq_tui.metrics"\]\n(\w+) = "(.+)"', page)[0]
    points = (EXTENSION_PACKAGE / "faq_toy-1.0.dist-info" / "entry_points.txt").read_text(encoding="utf-8")
    assert f"[faq_tui.metrics]\n{name} = {value}\n" in points


def evaluated(run: Run) -> set[tuple[str, str, str]]:
    """(subject, text, metric) of every measurement that the stage announces."""
    events: list[Event] = []
    evaluate.execute(context_of(run, events.append))
    return {(e.subject, e.text, e.metric) for e in events if isinstance(e, MeasurementReady)}


@pytest.mark.slow
def test_a_metric_of_another_package_from_the_stage_to_the_screen(tmp_path: Path) -> None:
    with tiny_run(tmp_path) as run:
        evaluated(run)
        signature, old = evaluate.signature(run), all_measurements(run.store)
        with installed():
            assert evaluate.signature(run) != signature
            assert TOY not in document(run)["texts"][0]["metrics"], "not measured yet"
            announced = evaluated(run)
            assert {(s, t) for s, t, metric in announced if metric == TOY} >= ALL
            new = all_measurements(run.store)
            for key in ALL:
                assert new[key].signature == old[key].signature
                assert {name: new[key].items[name] for name in old[key].items} == old[key].items
            assert not evaluated(run), "measured once"
            by_token = token_kl_of(run.store, FOLDERS[1], "prose.txt")
            assert by_token is not None
            items = new[FOLDERS[1], "prose.txt"].items
            for number, value in enumerate(items[TOY]):
                kl = sorted(decode_token_kl(by_token, items["tokens"], number)[0])
                assert value == pytest.approx(float(kl[int(0.99 * (len(kl) - 1))]), rel=2e-3)  # float16
            assert set(new[UNQUANTIZED, "prose.txt"].items[TOY]) == {0.0}

            body, text = json.loads(render(run, "json")), render(run, "md")
            whole = [
                [name for name in found["metrics"] if not METRICS.get(name).of_tokens] for found in body["texts"]
            ]
            assert whole == [["kl", "perplexity", "top1", TOY]] * 2
            assert all({"kl_p99", "kl_unsure", "kl_sure"} <= set(found["metrics"]) for found in body["texts"])
            mean = sum(items[TOY]) / len(items[TOY])
            rows = {row["name"]: row["texts"]["prose.txt"] for row in body["models"]}
            assert rows[FOLDERS[1]][TOY]["value"] == pytest.approx(mean)
            assert "p99 KL prose.txt" in text and "- **p99 KL**: how far the worst hundredth" in text
            assert re.search(r"\| p99 KL +\|", text), "a row of the comparisons"
            found = read(run.folder)
            assert found is not None
            every = EvidenceViewState(every=True)
            assert "p99 KL on prose.txt · lower is better" in as_text(found, every, "")
            assert any("the worst hundredth" in (row.detail or "") for row in table_rows(found, every, ""))
        assert evaluate.signature(run) == signature, "without the package nothing is measured again"
        assert not evaluated(run) and TOY not in render(run, "json")
