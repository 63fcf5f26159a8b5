"""Units of a run without artefacts: what they wait for, and how draws of local sources are divided."""

from __future__ import annotations

import json
from pathlib import Path

from faq_tui.core.run.run import Run, open_run
from faq_tui.core.store.seeds import ids_by_role
from faq_tui.core.store.stages import all_rows
from faq_tui.core.units import units_of
from faq_tui.core.units.listing import draw_of
from tests.support.schemas import valid
from tests.support.shell import faq_tui

SEEDS = 'path = "seeds.txt"\ncount = 4\n'
LOCAL = """
[target]
model = "target"
[seeds]
{seeds}
[sources.self]
base_url = "local"
model = "target"
candidates = 2
[[recipes]]
group_size = 32
sets = ["baseline", "self"]
[evaluate]
repeats = 3
{evaluate}
"""


def _run(folder: Path, count: int, evaluate: str = "") -> Path:
    target = folder / "target"
    target.mkdir(parents=True)
    (target / "config.json").write_text('{"model_type": "llama"}')
    lines = [f"Question {n}: which of the {n + 3} boxes is heavier?" for n in range(count)]
    (folder / "seeds.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "faq.toml").write_text(LOCAL.format(seeds=SEEDS, evaluate=evaluate), encoding="utf-8")
    return folder


def test_units_wait_for_the_first_stage_that_is_not_done(tmp_path: Path) -> None:
    with open_run(_run(tmp_path, 30)) as run:
        units = units_of(run)
        assert units and {(unit.state, unit.waits_for[0]) for unit in units} == {("waiting", "seeds")}


def test_each_draw_of_a_local_source_is_a_unit(tmp_path: Path) -> None:
    folder = _run(tmp_path, 30)
    assert faq_tui("run", folder, "--only", "seeds").code == 0
    with open_run(folder) as run:
        assert all_rows(run.store)["seeds"].state == "done"
        units = {unit.name: unit for unit in units_of(run)}
        assert [name for name in units if name.startswith("generate/")] == [
            "generate/self",
            "generate/self-r2",
            "generate/self-r3",
        ]
        assert units["generate/self-r2"].state == "ready"
        assert units["quantize/gptq-w4g32-self-r2"].waits_for == ("regenerate",)
        draws = [draw_of(run, subject)[1] for subject in ("self", "self-r2", "self-r3")]
        assert [len(draw) for draw in draws] == [4, 4, 4] and len({seed for draw in draws for seed in draw}) == 12
        assert len({unit.inputs for unit in units.values() if unit.kind == "generate"}) == 3


def test_a_seed_of_several_draws_belongs_to_one_unit(tmp_path: Path) -> None:
    folder = _run(tmp_path, 8)
    assert faq_tui("run", folder, "--only", "seeds").code == 0
    with open_run(folder) as run:
        seeds = [seed for subject in _subjects(run) for seed in draw_of(run, subject)[1]]
        assert sorted(seeds) == sorted(ids_by_role(run.store, "chosen")) and len(seeds) < 12


def test_an_artefact_reserves_all_its_gpus(tmp_path: Path) -> None:
    folder = _run(tmp_path, 8)
    settings = (folder / "faq.toml").read_text().replace("[target]\n", '[target]\ndevice = "cuda"\n')
    (folder / "faq.toml").write_text(settings + "[quantize]\ngpus_per_artefact = 4\n")
    with open_run(folder) as run:
        found = {(unit.kind, unit.needs.gpus) for unit in units_of(run)}
        assert found == {("quantize", 4), ("evaluate", 1), ("activations", 1)}


def _subjects(run: Run) -> list[str]:
    return [unit.subject for unit in units_of(run) if unit.kind == "generate"]


def test_the_list_as_json_and_as_names(tmp_path: Path) -> None:
    folder = _run(tmp_path, 30, '[evaluate.lm_eval]\ntasks = ["arc_easy"]')
    assert faq_tui("run", folder, "--only", "seeds").code == 0
    body = json.loads(faq_tui("units", folder, "--json").out)
    valid("units", body)
    names = [unit["name"] for unit in body["units"]]
    assert "benchmark/unquantized" in names and "evaluate/gptq-w4g32-self-r3" in names
    ready = faq_tui("units", folder, "--ready").out.split()
    assert ready == ["generate/self", "generate/self-r2", "generate/self-r3"]
    assert faq_tui("units", folder, "--ready", "--kind", "quantize").out == ""
    wrong = faq_tui("units", folder, "--kind", "quantise")
    assert wrong.code == 2 and "the kinds are generate, activations" in wrong.err
