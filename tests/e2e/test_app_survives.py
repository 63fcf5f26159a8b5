"""A window closed and a job killed in the middle of a real quantization."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from faq_tui.core import jobs
from faq_tui.core.run.job_record import Job
from tests.support.on_terminal import OnTerminal
from tests.support.shell import FAQ_TUI, faq_tui
from tests.support.tiny import TINY_RUN, make_tiny_run

pytestmark = pytest.mark.slow

NAME = "gptq-w4g64-baseline"
LAYERS = 6
SETTINGS = (
    TINY_RUN
    + """
[[recipes]]
method = "gptq"
bits = 4
group_size = 64
[evaluate]
perplexity = ["seeds.txt"]
window = 32
prose_tokens = 64
answer_tokens = 2
last_word = []
multiple_choice = []
"""
)
ROW = re.compile(r"^ *((?:self_attn|mlp)\.\w+) (.*?) *$")
LOSS = re.compile("[▁▂▃▄▅▆▇█]+ ?")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run up to its calibration set, on a tiny random target."""
    folder = make_tiny_run(tmp_path / "run", SETTINGS, LAYERS)
    assert faq_tui("run", folder, "--until", "assemble").code == 0
    yield folder
    job = jobs.find_live(folder)
    if job is not None:
        signal_all(job, signal.SIGKILL)


def start(shown: OnTerminal) -> None:
    """Start the job by the menu of the key r."""
    shown.press(b"r")
    shown.wait_to_see("to report", "Not now")
    shown.press(b"r")


def family(job: Job) -> list[psutil.Process]:
    """The job's process and all that it started."""
    head = psutil.Process(job.pid)
    return [head, *head.children(recursive=True)]


def signal_all(job: Job, number: signal.Signals) -> None:
    for process in family(job):
        process.send_signal(number)


def quantized(job: Job) -> int:
    """Modules whose loss is in the job's events."""
    lines = job.events.read_text(encoding="utf-8").split("\n")[:-1]
    return sum(json.loads(line)["event"] == "ModuleQuantized" for line in lines)


def wait_for_modules(shown: OnTerminal | None, job: Job, count: int) -> None:
    deadline = time.monotonic() + 60
    while quantized(job) < count:
        assert jobs.state(job) == "running", job.log.read_text()[-2000:]
        assert time.monotonic() < deadline
        if shown is not None:
            shown.read(0.05)  # a pty that nobody reads makes the app wait
        else:
            time.sleep(0.05)


def job_after(shown: OnTerminal, folder: Path, before: Job | None) -> Job:
    deadline = time.monotonic() + 30
    while (job := jobs.find_live(folder)) is None or (before is not None and job.id == before.id):
        assert time.monotonic() < deadline, "\n".join(shown.lines())
        shown.read(0.05)
    return job


def grid(seen: list[str]) -> dict[str, str]:
    """Module to its cells, as they stand on the screen."""
    found = (ROW.match(line) for line in seen)
    return {match[1]: match[2] for match in found if match}


def losses(seen: list[str]) -> int:
    return sum(len(LOSS.findall(cells)) for cells in grid(seen).values())


def stages(folder: Path) -> dict[str, Any]:
    return {row["stage"]: row["state"] for row in json.loads(faq_tui("status", folder, "--json").out)["stages"]}


def test_killed_resumed_closed_found_again_and_done(run: Path) -> None:
    first = OnTerminal(*FAQ_TUI, run)
    second: OnTerminal | None = None
    try:
        # kill -9: said at once, nothing half-made is left, r resumes.
        first.wait_to_see("Finished. assemble")
        start(first)
        killed = job_after(first, run, None)
        first.press(b"5")
        wait_for_modules(first, killed, 3)
        started = family(killed)
        psutil.Process(killed.pid).kill()
        assert first.wait_to_see("quantize: the job was killed.", "r resumes it", seconds=5) < 3
        assert not psutil.wait_procs(started[1:], timeout=10)[1], "the worker outlived its parent"
        assert jobs.state(killed) == "killed"
        assert not (run / "models" / NAME).exists()

        start(first)
        job = job_after(first, run, killed)
        wait_for_modules(first, job, 10)

        # What the screen shows while nothing moves is what it shows again.
        signal_all(job, signal.SIGSTOP)
        known = quantized(job)
        assert known < 7 * LAYERS, "it was too quick to look at"
        first.wait_until(lambda seen: losses(seen) == known, 5)
        before = grid(first.lines())
        assert len(before) == 7
        first.close_window()  # the kernel sends SIGHUP
        first.process.wait(timeout=5)

        second = OnTerminal(*FAQ_TUI, run)
        second.wait_to_see("Quantize")
        painted = time.monotonic()
        second.press(b"5")
        second.wait_until(lambda seen: grid(seen) == before and any("▸ running" in line for line in seen), 2)
        assert time.monotonic() - painted < 2
        assert jobs.state(job) == "running"

        # It is followed from there on, and goes on without any window.
        signal_all(job, signal.SIGCONT)
        second.wait_until(lambda seen: losses(seen) > known, 10)
        assert jobs.state(job) == "running"
        second.close_window()
        second.process.wait(timeout=5)
        deadline = time.monotonic() + 60
        while jobs.state(job) == "running" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert jobs.state(job) == "done", job.log.read_text()[-2000:]
    finally:
        for one in (first, second):
            if one is not None:
                one.kill()
    assert set(stages(run).values()) == {"done"}
    made = run / "models" / NAME
    assert [path.name for path in (run / "models").iterdir()] == [NAME], "nothing half-made beside it"
    manifest = json.loads((made / "faq_manifest.json").read_text())
    assert len(manifest["losses"]) == 7 * LAYERS == quantized(job)
    assert (made / "model.safetensors").stat().st_size > 100_000
