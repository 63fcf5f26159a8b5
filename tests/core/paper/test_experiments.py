"""The paper's experiments as settings, and which cells of its tables a run has filled."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.benchmarking.plan import wanted
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.paper.cells import paper_cells
from faq_tui.core.paper.columns import GENERAL, MEANS, SOURCES, SPECIAL
from faq_tui.core.paper.experiments import Experiment, all_experiments
from faq_tui.core.paper.preset_text import PresetChoices, preset_text
from faq_tui.core.paper.tables import cells
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.settings import Settings, parse_settings
from faq_tui.core.settings.evaluate import expand
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.benchmarks import Result, replace_results

EXPERIMENTS = all_experiments()


def settings_of(experiment: Experiment) -> Settings:
    return parse_settings(preset_text(experiment.name, PresetChoices(target=experiment.model)))


def test_every_table_has_a_preset() -> None:
    assert {e.table for e in EXPERIMENTS} == set(range(1, 12))
    assert len(EXPERIMENTS) == 12, "table 11 has two targets"


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: f"table{e.table}-{e.model}")
def test_a_preset_makes_every_cell_of_its_table(experiment: Experiment) -> None:
    settings = settings_of(experiment)
    assert settings.preset is not None
    assert (settings.preset.name, settings.preset.model) == (experiment.name, experiment.model)
    assert settings.target.model.endswith(experiment.hub_id.rpartition("/")[2]) and settings.seeds.count == 256
    made = {(r.method, r.bits, name) for r in settings.recipes for name in settings.sets_of(r)}
    rows = [c for c in cells() if (c.table, c.model) == (experiment.table, experiment.model)]
    rows = [c for c in rows if c.bits not in ("AVG", "BF16")]
    names = {"SPQR": "spqr", "w8a8-int8": "w8a8"}
    bits = {"INT4": 4, "INT8": 8, "w8a8": 8}
    assert made == {(names.get(c.method, c.method.lower()), bits[c.bits], c.calibration) for c in rows}
    assert {r.group_size for r in settings.recipes} <= {128, -1}
    tasks = {("lm_eval", task) for task in expand("lm_eval", settings.evaluate.lm_eval.tasks)}
    tasks |= {("evalscope", task) for task in expand("evalscope", settings.evaluate.evalscope.tasks)}
    columns = {part for c in rows if c.metric != "avg" for part in MEANS.get(c.metric, (c.metric,))}
    assert tasks == {(SOURCES[column].engine, SOURCES[column].task) for column in columns}
    runs_code = any(task.startswith("live_code_bench") for _, task in tasks)
    text = preset_text(experiment.name, PresetChoices(target=experiment.model))
    assert ("allow_code_execution = false" in text) == runs_code


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: f"table{e.table}-{e.model}")
def test_what_is_not_published_is_marked_as_ours(experiment: Experiment) -> None:
    text = preset_text(experiment.name, PresetChoices(target=experiment.model))
    for key in ("path =", "heldout =", "sampling =", "max_tokens = 2048", "overflow =", "perplexity ="):
        assert all("(our choice)" in line for line in text.splitlines() if line.startswith(key)), key
    assert re.search(r"^\[judge\](.|\n)*?^model = .*\(our choice\)", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 120


def test_columns_stand_for_tasks_that_the_lists_have() -> None:
    assert {c.metric for c in cells()} == {*SOURCES, *MEANS, "avg"}
    assert len(GENERAL) == 12 and len(SPECIAL) == 5


def test_options_override_and_what_cannot_be_is_said() -> None:
    choices = PresetChoices("/models/Qwen3-8B", "mine.jsonl", "http://e/v1", "Elder", "http://j/v1", 'Judge "x"')
    text = preset_text("paper/table11", choices)
    settings = parse_settings(text)
    assert settings.preset is not None and settings.preset.model == "Qwen3-8B"
    assert settings.target.model == "/models/Qwen3-8B" and settings.seeds.path == "mine.jsonl"
    assert settings.sources["elder"].base_url == "http://e/v1" and settings.sources["elder"].model == "Elder"
    assert (settings.judge.base_url, settings.judge.model) == ("http://j/v1", 'Judge "x"')
    assert "init with --target DeepSeek-R1" in text
    first = preset_text("paper/table11", PresetChoices())
    assert tomllib.loads(first)["target"]["model"] == "deepseek-ai/DeepSeek-R1"
    assert "init with --target Qwen3-8B" in first
    other = tomllib.loads(preset_text("paper/table1", PresetChoices(target="me/other")))
    assert other["target"]["model"] == "me/other" and other["preset"]["model"] == "Qwen3-8B"
    with pytest.raises(UsageError, match="no preset 'paper/table12': choose from paper/table1 to paper/table11"):
        preset_text("paper/table12", PresetChoices())
    with pytest.raises(UsageError, match="paper/table11 has no elder for DeepSeek-R1: its sets are baseline, self"):
        preset_text("paper/table11", PresetChoices(elder_url="http://e/v1"))


def result(run: Run, subject: str, task: str, metric: str, value: float, name: str = "", how: str = "none") -> Result:
    """As if it had been measured just now."""
    request = next(r for r in wanted(run) if (r.subject, r.task) == (subject, task))
    more = (9, 1, 0, "1", "0.4.13", True, None, request.signature)
    return Result(subject, request.engine, task, name or task, metric, how, value, 0.1, *more)


def test_status_tells_which_cells_are_filled(tmp_path: Path) -> None:
    (tmp_path / "faq.toml").write_text(preset_text("paper/table1", PresetChoices()))
    with open_run(tmp_path) as run:
        empty = paper_cells(run)
        assert empty is not None and empty["filled"] == 0 and len(empty["cells"]) == 3 * 13
        assert not any(c["bits"] == "AVG" for c in empty["cells"])
        add_artefact(run.store, Artefact("gptq-w4g128-elder", "s", {}, "elder", None, 4, 400, 4.2, 9.0))
        for subject in (UNQUANTIZED, "gptq-w4g128-elder"):
            replace_results(run.store, [result(run, subject, "wikitext", "word_perplexity", 12.5)])
            both = [("perplexity", 7.0), ("acc", 0.61)]
            replace_results(run.store, [result(run, subject, "lambada_openai", m, v) for m, v in both])
        found = paper_cells(run)
        assert found is not None and found["filled"] == 4
        ours = {(c["bits"], c["method"], c["calibration"], c["metric"]): c["ours"] for c in found["cells"]}
        assert ours["INT4", "GPTQ", "elder", "lambada_ppl"] == 7.0 and ours["BF16", "-", "none", "c4_ppl"] is None
        assert ours["INT4", "GPTQ", "baseline", "wikitext2_ppl"] is None
        assert next(c for c in found["cells"] if c["ours"] == 7.0 and c["bits"] == "INT4")["paper"] == 7.26


def test_a_mean_is_filled_by_all_of_its_parts_in_percent(tmp_path: Path) -> None:
    (tmp_path / "faq.toml").write_text(preset_text("paper/table5", PresetChoices()))
    with open_run(tmp_path) as run:
        for number, column in enumerate(GENERAL):
            source = SOURCES[column]
            mean = paper_cells(run)
            assert mean is not None
            assert next(c["ours"] for c in mean["cells"] if c["metric"] == "grmc" and c["bits"] == "BF16") is None
            parts = ("de", "zh") if column == "mgsm" else ("",)
            names = [f"mgsm_direct_{part}" if part else source.task for part in parts]
            rows = [
                result(
                    run, UNQUANTIZED, source.task, source.metric, 0.1 + number / 100 + at / 10, name, source.filter
                )
                for at, name in enumerate(names)
            ]
            replace_results(run.store, rows)
        found = paper_cells(run)
        assert found is not None and found["filled"] == 1
        value = next(c["ours"] for c in found["cells"] if c["metric"] == "grmc" and c["bits"] == "BF16")
        assert value == pytest.approx(100 * (sum(0.1 + n / 100 for n in range(12)) + 0.05) / 12)


def test_a_run_of_ones_own_has_no_table(tmp_path: Path) -> None:
    (tmp_path / "faq.toml").write_text('[target]\nmodel = "a/b"\n[seeds]\npath = "starter"\n')
    with open_run(tmp_path) as run:
        assert paper_cells(run) is None
