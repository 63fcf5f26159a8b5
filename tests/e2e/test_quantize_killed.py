"""`kill -9` in the middle of `quantize`: nothing half-made is taken for whole, and the next run ends right."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.shell import FAQ_TUI, environment, faq_tui
from tests.support.tiny import TINY_RUN, make_tiny_run

pytestmark = pytest.mark.slow

NAME = "gptq-w4g64-baseline"
SETTINGS = (
    TINY_RUN
    + """
[[recipes]]
method = "gptq"
bits = 4
group_size = {group_size}
[evaluate]
perplexity = ["seeds.txt"]
window = 32
prose_tokens = 128
answer_tokens = 4
"""
)


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to its calibration set, on a tiny random target. Tests must not change it."""
    folder = tmp_path_factory.mktemp("assembled")
    make_tiny_run(folder, SETTINGS.format(group_size=64))
    assert faq_tui("run", folder, "--until", "assemble").code == 0
    return folder


@pytest.fixture(scope="module")
def untouched(assembled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a run that nobody touched."""
    folder = tmp_path_factory.mktemp("untouched") / "run"
    shutil.copytree(assembled, folder)
    assert faq_tui("run", folder, "--until", "quantize").code == 0
    return weights_file(folder)


@pytest.fixture
def run(assembled: Path, tmp_path: Path) -> Path:
    """A copy of the run for one test."""
    shutil.copytree(assembled, tmp_path, dirs_exist_ok=True)
    return tmp_path


def events(run: Path) -> list[dict[str, Any]]:
    path = max((run / "jobs").glob("*/events.jsonl"))
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # the last may be half a line
    return [json.loads(line) for line in lines]


def kill_when(run: Path, moment: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Start `faq-tui run`, and kill it with everything it started unable to notice beforehand."""
    jobs = len(list((run / "jobs").iterdir()))
    process = subprocess.Popen(
        [*FAQ_TUI, "run", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    deadline = time.monotonic() + 300
    while len(list((run / "jobs").iterdir())) == jobs or not moment(events(run)):
        assert process.poll() is None, "it ended before the moment came"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def children_in(folder: Path) -> list[int]:
    """Processes that work in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                place = (entry / "cwd").readlink()
            except OSError:
                continue
            if place.is_relative_to(folder):
                found.append(int(entry.name))
    return found


def weights_file(run: Path) -> Path:
    return run / "models" / NAME / "model.safetensors"


def has(kind: str, count: int = 1) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: sum(event["event"] == kind for event in found) >= count


def quantize_began(found: list[dict[str, Any]]) -> bool:
    return any(event["event"] == "StageStarted" and event["stage"] == "quantize" for event in found)


def test_killed_three_times_then_whole(run: Path, untouched: Path) -> None:
    for moment in (quantize_began, has("ModuleQuantized", 3), has("LayerDone", 2)):
        kill_when(run, moment)
        deadline = time.monotonic() + 10
        while children_in(run) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not children_in(run), "the worker outlived its parent"
        visible = [p.name for p in (run / "models").iterdir() if not p.name.startswith(".")]
        assert visible == [] or (run / "models" / NAME / "faq_manifest.json").exists()
        states = {s["stage"]: s["state"] for s in json.loads(faq_tui("status", run, "--json").out)["stages"]}
        assert states["quantize"] in ("interrupted", "done")
    done = faq_tui("run", run, "--until", "quantize")
    assert done.code == 0, done.err
    assert [p.name for p in (run / "models").iterdir()] == [NAME]
    # What was killed left no trace in the weights.
    assert weights_file(run).read_bytes() == untouched.read_bytes()


@pytest.mark.parametrize(("engine", "more"), [("walk", ""), ("gptqmodel", "[quantize]\ncheckpoint_s = 0\n")])
def test_killed_with_checkpoints_it_goes_on_at_its_layer(run: Path, untouched: Path, engine: str, more: str) -> None:
    text = SETTINGS.format(group_size=64).replace("group_size = 64", f'group_size = 64\nengine = "{engine}"')
    (run / "faq.toml").write_text(text + more, encoding="utf-8")
    kill_when(run, has("LayerStarted", 3))
    deadline = time.monotonic() + 10
    while children_in(run) and time.monotonic() < deadline:
        time.sleep(0.1)
    (place,) = (run / ".cache" / "checkpoints").iterdir()
    assert place.name.startswith(f"{NAME}-") and not [p for p in (run / "models").iterdir() if p.name == NAME]
    done = faq_tui("run", run, "--until", "quantize", "--json")
    assert done.code == 0, done.err
    said = [json.loads(line) for line in done.out.splitlines()]
    notes = [event["message"] for event in said if event["event"] == "Note"]
    assert f"{NAME} continues at layer 2: earlier layers are already quantized" in notes
    # The app's grid is made of these: the layers before are there, with the losses of then.
    solved = [(event["layer"], event["loss"]) for event in said if event["event"] == "ModuleQuantized"]
    assert [layer for layer, _ in solved] == [0] * 7 + [1] * 7 + [2] * 7 and all(loss > 0 for _, loss in solved)
    assert not (run / ".cache" / "checkpoints").exists()
    from safetensors.torch import load_file

    resumed = load_file(weights_file(run))
    if engine == "gptqmodel":
        (run / "faq.toml").write_text(text, encoding="utf-8")
        shutil.rmtree(run / "models" / NAME)
        assert faq_tui("run", run, "--until", "quantize").code == 0
        untouched = weights_file(run)
    # Bit for bit the same tensors; their order in the file is another.
    whole = load_file(untouched)
    assert whole.keys() == resumed.keys() and all(whole[name].equal(resumed[name]) for name in whole)


def test_checkpoints_of_what_is_wanted_otherwise_are_removed(run: Path) -> None:
    text = SETTINGS.format(group_size=64)
    (run / "faq.toml").write_text(f"{text}[quantize]\ncheckpoint_s = 0\n", encoding="utf-8")
    kill_when(run, has("LayerStarted", 2))
    (place,) = (run / ".cache" / "checkpoints").iterdir()
    (run / "faq.toml").write_text(SETTINGS.format(group_size=32), encoding="utf-8")
    done = faq_tui("run", run, "--until", "quantize")
    assert done.code == 0, done.err
    assert not place.exists() and [p.name for p in (run / "models").iterdir()] == [NAME.replace("g64", "g32")]


def test_group_size_that_does_not_divide(run: Path) -> None:
    (run / "faq.toml").write_text(SETTINGS.format(group_size=256), encoding="utf-8")
    done = faq_tui("run", run)
    assert done.code == 2
    last = done.err.splitlines()[-1]
    assert last.startswith("faq-tui: group_size 256 does not divide the 128 input features of ")
    assert "16, 32, 64, 128" in last
    assert not (run / "models").exists() or list((run / "models").iterdir()) == []


def test_disk_full_while_the_weights_are_saved(run: Path) -> None:
    """A limit on the size of files stands in for the full disk: the write fails at the same place."""
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *FAQ_TUI, "run", str(run)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=600,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"faq-tui: no space left while writing {run / 'models'}")
    assert not [p for p in (run / "models").iterdir() if not p.name.startswith(".")]
