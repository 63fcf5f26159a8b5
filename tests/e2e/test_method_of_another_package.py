"""A quantization method of another package works everywhere, and docs/extending/method.md shows exactly its code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.app import App
from textual.widgets import Input, Select

from faq_tui.core.base.errors import UsageError
from faq_tui.core.extensions import METHODS
from faq_tui.core.settings import default_recipe, parse_settings
from faq_tui.core.settings.write import Choices, init_text
from faq_tui.tui.screens.recipe import RecipeScreen
from tests.support.paths import EXTENSION_PACKAGE, ROOT
from tests.support.shell import Result, environment, faq_tui_process
from tests.support.tiny import make_tiny_model
from tests.support.toy_package import installed, python_path

DOCUMENT = ROOT / "docs" / "extending" / "method.md"
BASE = '[target]\nmodel = "m"\n[seeds]\npath = "s"\n'
SETTINGS = """
[target]
model = "target"
device = "cpu"
[seeds]
path = "seeds.txt"
count = 12
heldout = 2
[assemble]
max_tokens = 64
[[recipes]]
method = "rtn"
bits = [4, 8]
group_size = 64
[evaluate]
perplexity = ["seeds.txt"]
window = 32
prose_tokens = 128
answer_tokens = 4
last_word = []
multiple_choice = []
[activations]
enabled = false
"""
NAMES = ["rtn-w4g64-baseline", "rtn-w8g64-baseline"]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


def with_toy(*arguments: str | Path) -> Result:
    return faq_tui_process(*arguments, timeout=600, PYTHONPATH=python_path())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("toy") / "run"
    make_tiny_model(run / "target", layers=2)
    lines = [f"Question {n}: which of the {n + 3} boxes is heavier, and by how much?" for n in range(16)]
    (run / "seeds.txt").write_text("\n".join(lines), encoding="utf-8")
    (run / "faq.toml").write_text(SETTINGS, encoding="utf-8")
    done = with_toy("run", run, "--json")
    assert done.code == 0, done.err[-3000:]
    (run / "events.jsonl").write_text(done.out, encoding="utf-8")
    return run


@pytest.mark.slow
def test_run_quantizes_by_it_and_reads_its_weights_back(made: Path) -> None:
    assert sorted(path.name for path in (made / "models").iterdir()) == NAMES
    for name, bits in zip(NAMES, (4, 8), strict=True):
        manifest = json.loads((made / "models" / name / "faq_manifest.json").read_text(encoding="utf-8"))
        assert manifest["recipe"] == {"method": "rtn", "bits": bits, "group_size": 64, "clip": 1.0}
        assert manifest["average_bits"] == bits + 32 / 64 and len(manifest["losses"]) == 2 * 7
        assert manifest["rounding"] == "to nearest" and manifest["serve"] == {}
        config = json.loads((made / "models" / name / "config.json").read_text(encoding="utf-8"))
        assert config["quantization_config"]["quant_method"] == "rtn"
    events = (made / "events.jsonl").read_text(encoding="utf-8")
    assert "faq-tui knows no server that loads rtn weights" in events and "vllm serve" not in events


@pytest.mark.slow
def test_the_evaluation_the_status_and_the_report_know_it(made: Path) -> None:
    report = json.loads((made / "reports" / "report.json").read_text(encoding="utf-8"))
    texts = {model["name"]: model["texts"]["seeds.txt"] for model in report["models"] if model["name"] in NAMES}
    losses = {name: metrics["kl"]["value"] for name, metrics in texts.items()}
    assert 0 < losses[NAMES[1]] < losses[NAMES[0]], "8 bits lose less than 4"
    assert [recipe["clip"] for recipe in report["run"]["recipes"]] == [1.0, 1.0]
    status = with_toy("status", made, "--json").out
    assert all(name in status for name in NAMES)


@pytest.mark.slow
def test_the_doctor_estimates_it_as_a_guess(made: Path) -> None:
    checks = json.loads(with_toy("doctor", made, "--json").out)
    lines = [check for check in checks["checks"] if check["name"] == "recipe rtn-w4g64"]
    assert len(lines) == 1 and "a rough guess" in lines[0]["found"]


@pytest.mark.usefixtures("toy")
def test_the_settings_know_its_keys_and_bounds() -> None:
    (gptq, rtn) = parse_settings(f'{BASE}[[recipes]]\nmethod = ["gptq", "rtn"]\nbits = 4').recipes
    assert (gptq.method, rtn.identity()) == ("gptq", {"method": "rtn", "bits": 4, "group_size": 128, "clip": 1.0})
    for line, said in (
        ("clip = 2.0", "`recipes[1].clip`: input should be less than or equal to 1"),
        ("bits = 3", "`recipes[1].bits`: rtn supports 8, 4, not 3"),
        ("sym = true", "rtn has no key `sym`; its keys are clip"),
        ('preset = "paper"', "rtn has no preset 'paper': the method has no presets, so remove the key `preset`"),
        ("clop = 1.0", "unknown key `recipes[1].clop`; did you mean `clip`?"),
    ):
        with pytest.raises(UsageError) as caught:
            parse_settings(f'{BASE}[[recipes]]\nmethod = "rtn"\n{line}')
        assert said in str(caught.value)
    text = init_text(Choices("m", "s"))
    assert "| w8a8 | rtn" in text and "# clip = 1.0" in text and "rtn: largest code" in text


@pytest.mark.usefixtures("toy")
async def test_the_recipe_form_shows_its_keys() -> None:
    chosen: list[object] = []
    app: App[None] = App()
    async with app.run_test(size=(80, 30)) as pilot:
        app.push_screen(RecipeScreen(["baseline"], default_recipe()), chosen.append)
        await pilot.pause()
        app.screen.query_one("#method", Select).value = "rtn"
        await pilot.pause()
        assert not app.screen.query("#desc_act")
        app.screen.query_one("#clip", Input).value = "0.5"
        await pilot.press("ctrl+s")
        await pilot.pause()
    assert chosen == [{"method": "rtn", "bits": 4, "group_size": 128, "clip": 0.5}]


def test_without_the_package_the_method_is_refused_by_name() -> None:
    assert "rtn" not in METHODS
    with pytest.raises(UsageError, match="no quantization method 'rtn': available: gptq, gptaq, awq, spqr, w8a8"):
        parse_settings(f'{BASE}[[recipes]]\nmethod = "rtn"')


def test_listing_methods_with_their_settings_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from faq_tui.core.extensions import METHODS\n"
        "print([(m.name, m.recipe.model_fields.keys(), m.format, m.cost) for m in METHODS.all()])\n"
        "print(sorted({'torch', 'transformers', 'gptqmodel', 'compressed_tensors'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment(PYTHONPATH=python_path()),
        cwd=ROOT,
    )
    assert "'rtn'" in done.stdout and done.stdout.splitlines()[-1] == "[]"


def test_the_document_shows_the_code() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert code == (EXTENSION_PACKAGE / "faq_toy" / "rtn.py").read_text(encoding="utf-8")
