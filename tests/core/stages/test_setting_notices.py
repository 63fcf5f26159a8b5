"""Settings without an effect, and token weights that may leave nothing of a set, are named before a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.doctor.inputs import target_checks
from faq_tui.core.run.run import open_run
from faq_tui.core.stages.setting_notices import setting_notices
from tests.support.shell import faq_tui, make_run

TOML = '[target]\nmodel = "embedded"\n[seeds]\npath = "starter"\nheldout = {heldout}\n'
ELDER = '[sources.elder]\nbase_url = "http://elder:8000/v1"\nmodel = "Big-8B"\n'
ONLY_ANSWERS = "[[recipes]]\ntoken_weights = { question = 0, template = 0, reasoning = 0 }\n"
STAGES = ["assemble", "quantize", "evaluate"]


def notices(folder: Path, more: str, heldout: int = 8, stages: list[str] = STAGES) -> list[str]:
    (folder / "faq.toml").write_text(TOML.format(heldout=heldout) + more)
    with open_run(folder) as run:
        return setting_notices(run, stages)


def test_keys_that_need_heldout_seeds(tmp_path: Path) -> None:
    asked = ELDER + '[evaluate]\ngreedy_tokens = 64\nanswers = ["target", "elder"]\n'
    first, second = notices(tmp_path, asked, heldout=0)
    assert first == (
        "evaluate.greedy_tokens has no effect, because seeds.heldout is 0: no model answers held-out seeds; set "
        "seeds.heldout above 0, or remove evaluate.greedy_tokens"
    )
    assert second.startswith("evaluate.answers has no effect")
    assert notices(tmp_path, asked) == notices(tmp_path, ELDER, heldout=0) == []
    assert notices(tmp_path, asked, heldout=0, stages=["assemble"]) == []


def test_doctor_and_run_name_them(tmp_path: Path) -> None:
    run = make_run(tmp_path, rest="[evaluate]\ngreedy_tokens = 64\n")
    with open_run(run) as opened:
        (check,) = [check for check in target_checks(opened) if check.name == "settings"]
    assert check.state == "warning" and check.found.startswith("evaluate.greedy_tokens has no effect")
    assert check.advice == "set seeds.heldout above 0, or remove evaluate.greedy_tokens"
    done = faq_tui("run", run)
    assert done.code == ExitCode.USAGE and "warning: evaluate.greedy_tokens has no effect" in done.err


@pytest.mark.parametrize(
    ("more", "sets"),
    [
        ("[sets.elder]\nanswers_cut = 20\n", ["elder"]),
        ("[sets.elder]\ntokens_per_sample = 64\n", ["elder"]),
        ('[sets.short]\nfrom = "elder"\nanswers_cut = 20\n[evaluate]\nrepeats = 2\n', ["short"]),
        ("[sets.elder]\nanswers_cut = 20\nanswer_only = true\n", []),
        ("[sets.half]\nfrom = { elder = 0.5, baseline = 0.5 }\nanswers_cut = 20\n", []),
        ("[sets.baseline]\nanswers_cut = 20\n", []),
        ("", []),
    ],
)
def test_an_answer_that_may_be_cut_off_whole(more: str, sets: list[str], tmp_path: Path) -> None:
    found = notices(tmp_path, ELDER + more + ONLY_ANSWERS)
    assert [notice.partition("samples of the set ")[2].split()[0] for notice in found] == sets
    for notice, name in zip(found, sets, strict=True):
        assert notice.startswith("recipes[1].token_weights gives weight only to answers")
        assert "tokens, and the reasoning comes first" in notice and f"sets.{name}.answer_only = true" in notice
    assert notices(tmp_path, ELDER + more + ONLY_ANSWERS.replace(", reasoning = 0", "")) == []
    assert notices(tmp_path, ELDER + 'reasoning = "off"\n' + more + ONLY_ANSWERS) == []
