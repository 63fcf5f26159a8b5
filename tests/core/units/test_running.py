"""Units that separate processes do give what one job gives: bit-equal weights, and nothing left for the job."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.run.run import open_run
from faq_tui.core.store.artefacts import all_artefacts
from faq_tui.core.store.measurements import all_measurements
from faq_tui.core.store.units import all_units
from faq_tui.core.units import Unit, units_of
from tests.support.schemas import valid
from tests.support.shell import FAQ_TUI, environment, faq_tui, refused
from tests.support.tiny import TINY_RUN, make_tiny_run

pytestmark = pytest.mark.slow

SETTINGS = (
    TINY_RUN.replace("enabled = false", "enabled = true")
    + """
[sets.medium]
count = 6
[sets.same]
count = 6
[[recipes]]
method = "gptq"
group_size = 32
sets = ["medium", "same", "baseline"]
[evaluate]
perplexity = ["seeds.txt"]
window = 32
prose_tokens = 128
answer_tokens = 4
"""
)
MEDIUM, SAME, BASELINE = (f"gptq-w4g32-{name}" for name in ("medium", "same", "baseline"))


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assembled")
    make_tiny_run(folder, SETTINGS)
    assert faq_tui("run", folder, "--until", "assemble").code == 0
    return folder


@pytest.fixture(scope="module")
def by_job(assembled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run after one job did all of it."""
    folder = tmp_path_factory.mktemp("job") / "run"
    shutil.copytree(assembled, folder)
    assert faq_tui("run", folder).code == 0
    return folder


@pytest.fixture
def run(assembled: Path, tmp_path: Path) -> Path:
    shutil.copytree(assembled, tmp_path / "run")
    return tmp_path / "run"


def listed(run: Path) -> dict[str, Unit]:
    with open_run(run) as opened:
        return {unit.name: unit for unit in units_of(opened)}


def weights(run: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (run / "models").glob("*/model.safetensors")}


def start(run: Path, unit: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*FAQ_TUI, "run", str(run), "--unit", unit],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def wait_for(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_all_units_in_processes_of_their_own(run: Path, by_job: Path) -> None:
    """Two units at the same time, and then one after the other."""
    begun = [start(run, "quantize/" + name) for name in (MEDIUM, BASELINE)]
    assert [process.wait(300) for process in begun] == [0, 0]
    while ready := faq_tui("units", run, "--ready").out.split():
        result = faq_tui("run", run, "--unit", ready[0])
        assert result.code == 0, result
    units = listed(run)
    assert {unit.state for unit in units.values()} == {"done"}, units
    assert f"evaluate/{SAME}" not in units  # it is the same model as the artefact of the set medium
    assert weights(run) == weights(by_job)
    with open_run(run) as ours, open_run(by_job) as theirs:
        assert {row.name: row.same_as for row in all_artefacts(ours.store).values()} == {
            row.name: row.same_as for row in all_artefacts(theirs.store).values()
        }
        measured = {key: (m.signature, m.items) for key, m in all_measurements(ours.store).items()}
        assert measured == {key: (m.signature, m.items) for key, m in all_measurements(theirs.store).items()}
    again = faq_tui("run", run, "--json")
    assert again.code == 0
    left = [event for event in map(json.loads, again.out.splitlines()) if event["event"] == "StageStarted"]
    assert [event["stage"] for event in left] == ["report"]


def test_after_a_job_all_units_are_done(by_job: Path) -> None:
    assert {unit.state for unit in listed(by_job).values()} == {"done"}
    result = faq_tui("run", by_job, "--unit", f"evaluate/{MEDIUM}")
    assert result.code == 0 and f"evaluate/{MEDIUM} is already done" in result.err


def test_a_unit_is_stale_after_a_change_and_ready_after_a_kill(run: Path) -> None:
    units = listed(run)
    assert units[f"quantize/{MEDIUM}"].state == "ready" and units["evaluate/unquantized"].state == "ready"
    assert units[f"evaluate/{MEDIUM}"].waits_for == (f"quantize/{MEDIUM}", "evaluate/unquantized")
    needs = units[f"quantize/{MEDIUM}"].needs
    assert needs.gpus == 0 and needs.seconds and needs.host_bytes
    process = start(run, f"quantize/{MEDIUM}")
    wait_for(lambda: listed(run)[f"quantize/{MEDIUM}"].state == "running")
    busy = refused(ExitCode.FAILED, "run", run, "--unit", f"quantize/{MEDIUM}")
    assert f"working on quantize/{MEDIUM} (by process {process.pid})" in busy
    assert "working on units of" in refused(ExitCode.FAILED, "run", run)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert listed(run)[f"quantize/{MEDIUM}"].state == "ready"
    half = run / "models" / f".half-{MEDIUM}"
    half.mkdir(parents=True, exist_ok=True)
    (half / "layer.safetensors").write_bytes(b"what a killed worker had written")
    process = start(run, f"quantize/{MEDIUM}")
    assert process.wait(120) == 0 and not half.exists()
    assert not (run / "models" / MEDIUM / "layer.safetensors").exists()
    unit = listed(run)[f"quantize/{MEDIUM}"]
    assert unit.state == "done" and "bits per weight" in unit.message
    text = (run / "faq.toml").read_text(encoding="utf-8")
    (run / "faq.toml").write_text(text.replace("prose_tokens = 128", "prose_tokens = 64"), encoding="utf-8")
    assert listed(run)[f"quantize/{MEDIUM}"].state == "done"
    other = text.replace("group_size = 32", "group_size = 32\ndamp_percent = 0.05")
    (run / "faq.toml").write_text(other, encoding="utf-8")
    assert listed(run)[f"quantize/{MEDIUM}"].state == "stale"


def test_what_cannot_be_done_is_refused(run: Path) -> None:
    near = refused(ExitCode.USAGE, "run", run, "--unit", "quantise/gptq-w4g32-medium")
    assert f"there is no unit 'quantise/gptq-w4g32-medium'; did you mean quantize/{MEDIUM}" in near
    far = refused(ExitCode.USAGE, "run", run, "--unit", "x")
    assert f"`faq-tui units {run}` lists them" in far
    waits = refused(ExitCode.USAGE, "run", run, "--unit", f"evaluate/{MEDIUM}")
    assert f"first run `faq-tui run {run} --unit quantize/{MEDIUM}`" in waits
    assert "cannot be used together" in refused(ExitCode.USAGE, "run", run, "--unit", "x", "--only", "quantize")
    with open_run(run) as opened:
        assert all_units(opened.store) == {}


def test_a_failure_is_kept_until_the_unit_is_done(run: Path) -> None:
    (run / "calibration" / "medium.jsonl").write_text("not a row\n", encoding="utf-8")
    failed = faq_tui("run", run, "--unit", f"quantize/{MEDIUM}", "--json")
    assert failed.code == ExitCode.USAGE
    events = [json.loads(line) for line in failed.out.splitlines()]
    for event in events:
        valid("event", event)
    assert [event["event"] for event in events][:: len(events) - 1] == ["UnitStarted", "UnitFailed"]
    unit = listed(run)[f"quantize/{MEDIUM}"]
    assert unit.state == "failed" and unit.message == events[-1]["message"]
    assert listed(run)[f"quantize/{BASELINE}"].state == "ready"
    table = faq_tui("units", run)
    assert table.code == 0 and f"failed   quantize/{MEDIUM}" in table.out
    assert f"waits for quantize/{MEDIUM}" in table.out
