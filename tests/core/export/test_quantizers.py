"""The files for other quantizers have the form that these programs read.

benchmarks/export_to_quantizers.py runs the scripts with the real libraries.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from faq_tui.core.base.errors import ExitCode, FaqError
from faq_tui.core.export import CalibrationSet, ExportJob, FolderFormat
from faq_tui.core.export.quantizers import AUTO_ROUND, GPTQMODEL, LLM_COMPRESSOR, llm_compressor_recipe
from faq_tui.core.extensions import EXPORTS
from faq_tui.core.settings.recipe import build_recipe
from tests.support.shell import faq_tui, make_run, refused

RECIPES = '[[recipes]]\nmethod = ["gptq", "spqr", "w8a8"]\n[[recipes]]\nmethod = "awq"\nsets = ["elder"]\n'
ROWS = [[1, 2, 3, 4], [5, 6], [7, 8, 9]]
FOLDERS = [name for name in EXPORTS.builtin if isinstance(EXPORTS.get(name), FolderFormat)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two sets, and a target that is a folder."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "config.json").write_text("{}")
    run = make_run(tmp_path / "run", rest=RECIPES, target=str(tmp_path / "target"))
    (run / "calibration").mkdir()
    for name in ("baseline", "elder"):
        lines = [json.dumps({"text": f"<|user|>é {name} {n}\n", "input_ids": row}) for n, row in enumerate(ROWS)]
        (run / "calibration" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return run


def exported(run: Path, kind: str, *more: str, set_name: str = "elder") -> Path:
    place = run / "out"
    done = faq_tui("export", run, "--set", set_name, "--format", kind, "-o", place, *more)
    assert done.code == 0, done.err
    assert done.out == f"{place}\n" and f"python {place / 'quantize.py'}" in done.err
    return place


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_has_the_rows_the_model_and_a_script(run: Path, kind: str) -> None:
    place = exported(run, kind)
    rows = [json.loads(line)["input_ids"] for line in (place / "calibration.jsonl").read_text().splitlines()]
    assert rows == ROWS
    assert json_of(place / "settings.json")["model"] == str(run.parent / "target")
    script = (place / "quantize.py").read_text()
    compile(script, "quantize.py", "exec")
    read = set(re.findall(r'settings\["(\w+)"\]', script))
    assert read - {"gptaq"} <= json_of(place / "settings.json").keys(), "the script reads what is there"
    assert [path for path in run.iterdir() if path.name.endswith(".half")] == []
    assert "exists already" in refused(ExitCode.USAGE, "export", run, "--set", "elder", "--format", kind, "-o", place)


def test_a_recipe_of_llm_compressor(run: Path) -> None:
    recipe = yaml.safe_load((exported(run, "llm-compressor") / "recipe.yaml").read_text())
    modifier = recipe["quant_stage"]["quant_modifiers"]["GPTQModifier"]
    assert modifier["ignore"] == ["lm_head"] and modifier["dampening_frac"] == 0.01 and modifier["actorder"] is None
    group = modifier["config_groups"]["group_0"]
    assert group["targets"] == ["Linear"] and "input_activations" not in group
    assert group["weights"] == {
        "num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128,
    }  # fmt: skip


def test_the_recipes_of_llm_compressor_for_each_method() -> None:
    awq = llm_compressor_recipe(build_recipe({"method": "awq", "group_size": 64}))["quant_stage"]["quant_modifiers"]
    assert list(awq) == ["AWQModifier", "QuantizationModifier"] and awq["AWQModifier"] == {}
    w8a8 = llm_compressor_recipe(build_recipe({"method": "w8a8"}))["quant_stage"]["quant_modifiers"]
    group = w8a8["GPTQModifier"]["config_groups"]["group_0"]
    assert group["weights"] == {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
    assert group["input_activations"]["strategy"] == "token" and group["input_activations"]["dynamic"] is True
    ordered = llm_compressor_recipe(build_recipe({"method": "gptq", "desc_act": True}))
    assert ordered["quant_stage"]["quant_modifiers"]["GPTQModifier"]["actorder"] == "static"


def test_the_settings_of_auto_round_and_gptqmodel(run: Path) -> None:
    assert json_of(exported(run, "auto-round", "--recipe", "awq-w4g128") / "settings.json") == {
        "model": str(run.parent / "target"), "scheme": "W4A16", "group_size": 128, "sym": False, "seqlen": 4,
    }  # fmt: skip
    job = ExportJob("m", build_recipe({"method": "gptaq", "bits": 8, "group_size": -1}))
    calibration = CalibrationSet("elder", run / "calibration" / "elder.jsonl")
    assert job.recipe is not None
    settings = GPTQMODEL.settings(calibration, job, job.recipe)
    assert settings["method"] == "gptaq" and settings["gptaq"]["alpha"] == 0.25
    assert settings["config"]["act_group_aware"] is False, "GPTQModel refuses it with one group per row"
    assert settings["config"]["bits"] == 8 and settings["config"]["mse"] == 2.4


def test_text_for_imatrix(run: Path) -> None:
    done = faq_tui("export", run, "--set", "elder", "--format", "imatrix")
    assert done.out == "".join(f"<|user|>é elder {n}\n\n" for n in range(3))


def test_the_next_command_can_be_pasted(run: Path) -> None:
    place = run / "my folder; $(id)"
    done = faq_tui("export", run, "--set", "elder", "--format", "gptqmodel", "-o", place)
    assert shlex.split(done.err.partition(": ")[2]) == ["python", str(place / "quantize.py")]


def test_which_recipe_is_used(run: Path) -> None:
    command = ("export", run, "--set", "elder", "-o", run / "out", "--format")
    assert "has no method spqr: choose a recipe with gptq, awq, w8a8" in refused(
        ExitCode.USAGE, *command, "llm-compressor", "--recipe", "spqr-w4g128"
    )
    assert "there are: gptq-w4g128, spqr-w4g128" in refused(
        ExitCode.USAGE, *command, "llm-compressor", "--recipe", "gptq"
    )
    assert "needs no recipe" in refused(ExitCode.USAGE, *command, "jsonl", "--recipe", "gptq-w4g128")
    assert not (run / "out").exists()
    (run / "faq.toml").write_text(
        (run / "faq.toml").read_text().partition("[[recipes]]")[0] + '[[recipes]]\nmethod = "spqr"\n'
    )
    assert "has no recipe that gptqmodel can use: add one with gptq, gptaq, awq" in refused(
        ExitCode.USAGE, *command, "gptqmodel"
    )


def test_what_a_folder_needs(run: Path) -> None:
    command = ("export", run, "--set", "elder", "--format", "gptqmodel")
    assert "is a folder: give --output FOLDER" in refused(ExitCode.USAGE, *command)
    assert "create it first" in refused(ExitCode.USAGE, *command, "-o", run / "no" / "out")
    for number, line in enumerate(
        ['{"text": "x"}', '{"text": "x", "input_ids": ["a"]}', '{"text": "x", "input_ids": [true]}']
    ):
        (run / "calibration" / "elder.jsonl").write_text(f'{{"text": "x", "input_ids": [1]}}\n{line}\n')
        said = refused(ExitCode.FAILED, *command, "-o", run / f"out{number}")
        assert "elder.jsonl is damaged in line 2" in said and not (run / f"out{number}").exists()
    (run / "calibration" / "elder.jsonl").write_text("")
    assert "has no samples" in refused(ExitCode.FAILED, *command, "-o", run / "out")
    assert [path for path in run.iterdir() if path.name.endswith(".half")] == []


@pytest.mark.parametrize("one", [LLM_COMPRESSOR, AUTO_ROUND, GPTQMODEL])
def test_a_damaged_set_is_no_traceback(one: FolderFormat, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"text": "x", "input_ids": []}\n')
    job = ExportJob("m", build_recipe({}))
    with pytest.raises(FaqError, match="damaged in line 1"):
        one.write_folder(CalibrationSet("s", tmp_path / "s.jsonl"), job, tmp_path)


@pytest.mark.parametrize(
    "lines",
    [
        '{"text": "x", "seed_id": 1}\n{"text": "x", "seed_id": "a"}\n',
        '{"text": "x", "seed_id": [1]}\n{"text": "x", "seed_id": {"a": 1}}\n',
        '{"text": "x", "seed_id": {}}\n',
        '{"text": "x", "input_ids": [99999999999999999999]}\n',
        '{"text": "half a pair \\ud800"}\n',
    ],
)
def test_odd_values_are_no_traceback(run: Path, lines: str) -> None:
    (run / "calibration" / "elder.jsonl").write_text(lines)
    command = ("export", run, "--set", "elder", "-o", run / "out", "--format")
    said = refused(ExitCode.FAILED, *command, "parquet")
    assert "has values that Parquet cannot hold" in said and not (run / "out").exists()
    assert faq_tui(*command, "text").code == 0
