"""What the report says of the sources' kinship and of each set's making."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.evidence import collect
from faq_tui.core.report.formats import render
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.made_up import TOML, add_made_up_artefact, add_made_up_measurement, made_up_run, measure_all

KLS = {"baseline": 0.3, "elder": 0.2}


@pytest.mark.parametrize(
    ("target", "elder", "said"),
    [
        ("Qwen/Qwen3-8B", "Llama-3.1-405B", "not of the target's family (stranger: "),
        ("Qwen/Qwen3-8B", "Qwen3-4B", "not larger than the target, so it is not an elder"),
        (
            "Qwen/Qwen3-8B",
            "mystery",
            "It is unknown whether mystery is of the target's family (Qwen3-8B is a name of",
        ),
        ("Qwen/Qwen3-8B", "Qwen3-235B-A22B", ""),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "DeepSeek-R1", "so this source is a teacher"),
    ],
)
def test_kinship_is_said_where_it_matters(tmp_path: Path, target: str, elder: str, said: str) -> None:
    toml = TOML.replace('"./target"', f'"{target}"').replace("Big-8B", elder)
    with made_up_run(tmp_path, toml) as run:
        measure_all(run, KLS)
        text, body = render(run, "md").replace("\\", ""), json.loads(render(run, "json"))
    answer = text[: text.index("## The models")]
    family = body["run"]["sources"][0]["family"]
    assert (said in answer) if said else body["notices"] == []
    assert family["known"] == (elder != "mystery") and family["reasons"]
    assert (family["verdict"] == "family") == (elder in ("Qwen3-4B", "Qwen3-235B-A22B"))
    assert ("Elders of the target: Qwen/Qwen3-235B-A22B" in answer) == (family["verdict"] != "family")


SECTIONS = """
[sets.blend]
from = {elder = 0.5, baseline = 0.5}
match = {tokens = "elder"}
[sets.baseline-raw]
"""


def test_each_set_tells_how_it_was_made(tmp_path: Path) -> None:
    with made_up_run(tmp_path, TOML + SECTIONS) as run:
        measure_all(run, KLS)
        add_set(run.store, SetRow("elder", "h", 20, 900, 1000, 0, {"x": 2}, 20, 15, {"generation_prompt": 20}))
        add_set(run.store, SetRow("blend", "i", 10, 895, 895, 0, {}, 5, 5, {"template": 10}))
        add_set(run.store, SetRow("baseline-raw", "j", 10, 300, 300, 0, {}, 0, 0, {"raw": 10}))
        text, body = render(run, "md").replace("\\", ""), json.loads(render(run, "json"))
    elder = next(line for line in text.splitlines() if line.startswith("- **Set elder**"))
    assert "20 samples, 900 tokens, 100 tokens cut off (90% kept); 15 of 20 samples hold the whole answer" in elder
    assert "20 built from the generation prompt" in elder and "left out: 2 x" in elder
    assert "- **Set blend**: from 50% elder and 50% baseline, as many tokens as elder; 10 samples, 895 tokens" in text
    assert "- **Set baseline-raw**: texts without the chat template; 10 samples" in text
    sets = {found["name"]: found for found in body["run"]["sets"]}
    assert sets["elder"]["kept"] == pytest.approx(0.9) and sets["elder"]["whole_answers"] == 15
    assert sets["blend"]["plan"]["made_from"] == {"elder": 0.5, "baseline": 0.5}


def test_a_set_is_held_against_the_one_whose_size_it_takes(tmp_path: Path) -> None:
    with made_up_run(tmp_path, TOML + SECTIONS) as run:
        measure_all(run, KLS)
        for name, samples in (("blend", 12), ("baseline-raw", 10)):
            add_made_up_artefact(run, name, samples=samples)
            add_made_up_measurement(run, run.settings.recipes[0].folder(name), 0.25)
        for name, samples in (("baseline", 10), ("elder", 10), ("blend", 12), ("baseline-raw", 10)):
            add_set(run.store, SetRow(name, name, samples, 900, 900, 0, {}))
        found = {(c.source, c.equal): c.baseline for c in collect(run).comparisons}
        text = render(run, "md").replace("\\", "")
    assert found["blend", "tokens"] == "gptq-w4g64-elder" and ("blend", "samples") not in found
    assert found["baseline-raw", "samples"] == "gptq-w4g64-baseline"
    assert "calibrated on blend instead of elder:" in text
    assert "calibrated on baseline-raw instead of the plain seeds:" in text


def test_a_set_whose_name_looks_like_a_draws_has_its_own_plan(tmp_path: Path) -> None:
    with made_up_run(tmp_path, TOML + '[sets.mine-r2]\nkind = "raw"\n') as run:
        measure_all(run, KLS)
        add_set(run.store, SetRow("mine-r2", "h", 10, 300, 300, 0, {}))
        body = json.loads(render(run, "json"))
    (made,) = body["run"]["sets"]
    assert made["name"] == "mine-r2" and made["plan"]["kind"] == "raw"


def test_a_recipe_has_its_sink_share_as_a_number(tmp_path: Path) -> None:
    recipes = '[[recipes]]\n{}\n[[recipes]]\nsink_share = "off"\n[[recipes]]\nsink_share = 0.2\n'
    text = "[[recipes]]".join(TOML.split("[[recipes]]")[:1]) + recipes.format("")
    with made_up_run(tmp_path, text) as run:
        measure_all(run, KLS)
        found = json.loads(render(run, "json"))["run"]["recipes"]
        line = next(one for one in render(run, "md").splitlines() if one.startswith("- **Recipe**"))
    assert [one.get("sink_share") for one in found] == [0.03, None, 0.2]
    assert line.endswith("sink_share 0.03")
