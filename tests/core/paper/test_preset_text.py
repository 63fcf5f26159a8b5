"""Presets as text of faq.toml: each makes the cells of its table, and options override."""

from __future__ import annotations

import re
import tomllib

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.paper.columns import MEANS, SOURCES
from faq_tui.core.paper.experiments import Experiment, all_experiments
from faq_tui.core.paper.preset_text import PresetChoices, preset_text
from faq_tui.core.paper.tables import cells
from faq_tui.core.settings import Settings, parse_settings
from faq_tui.core.settings.evaluate import expand

EXPERIMENTS = all_experiments()


def settings_of(experiment: Experiment) -> Settings:
    return parse_settings(preset_text(experiment.name, PresetChoices(target=experiment.model)))


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


def test_options_override_and_what_cannot_be_is_said() -> None:
    choices = PresetChoices("/models/Qwen3-8B", "mine.jsonl", "http://e/v1", "Elder", "http://j/v1", 'Judge "x"')
    text = preset_text("paper/table11", choices)
    settings = parse_settings(text)
    assert settings.preset is not None and settings.preset.model == "Qwen3-8B"
    assert settings.target.model == "/models/Qwen3-8B" and settings.seeds.path == "mine.jsonl"
    assert settings.sources["elder"].base_url == "http://e/v1" and settings.sources["elder"].model == "Elder"
    assert (settings.judge.base_url, settings.judge.model) == ("http://j/v1", 'Judge "x"')
    assert "Each needs a separate run: use --target DeepSeek-R1" in text
    first = preset_text("paper/table11", PresetChoices())
    assert tomllib.loads(first)["target"]["model"] == "deepseek-ai/DeepSeek-R1"
    assert "Each needs a separate run: use --target Qwen3-8B" in first
    other = tomllib.loads(preset_text("paper/table1", PresetChoices(target="me/other")))
    assert other["target"]["model"] == "me/other" and other["preset"]["model"] == "Qwen3-8B"
    with pytest.raises(UsageError, match="no preset 'paper/table12': choose from paper/table1 to paper/table11"):
        preset_text("paper/table12", PresetChoices())
    with pytest.raises(
        UsageError, match=r"paper/table11 uses no elder for DeepSeek-R1 \(it uses the sets baseline, self"
    ):
        preset_text("paper/table11", PresetChoices(elder_url="http://e/v1"))
