"""Measure the CPU seconds of each stage of a run that the wizard proposes, on a machine without a GPU.

    python benchmarks/new_run.py FOLDER [--usual]

If FOLDER is a run already, only its outdated stages run, with the settings of its faq.toml. Otherwise, the target is
the embedded model, and the embedded server regenerates the answers to 14 questions. With `--usual`, the run has the
settings that the wizard proposes on a machine with a GPU.

The CPU seconds are the sum over the server and all other processes. Other work on the machine hardly changes them. It
changes the time on the clock a lot.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from faq_tui.core.embedded import ensure_model, running_server
from faq_tui.core.setup import Draft, create_run

COUNT, HELDOUT = 14, 16


class CpuSeconds:
    """The CPU seconds of all child processes of this process, also of those that have ended."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.total()
            time.sleep(0.5)

    def total(self) -> float:
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue
        return sum(self._seen.copy().values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--usual", action="store_true")
    chosen = parser.parse_args()
    if (chosen.folder / "faq.toml").exists():
        measure(chosen.folder)
        return
    model = ensure_model(lambda _: None)
    with running_server(chosen.folder.with_suffix(".log")) as server:
        draft = Draft(
            str(model.folder), "starter", "server", server.base_url, "SmolLM2-135M-Instruct",
            count=COUNT, heldout=HELDOUT, short=not chosen.usual,
        )  # fmt: skip
        create_run(draft, chosen.folder)
        measure(chosen.folder)


def measure(folder: Path) -> None:
    cpu, clock = CpuSeconds(), time.monotonic()
    command = [sys.executable, "-m", "faq_tui", "run", str(folder), "--json"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    first = last = cpu.total()
    print("| stage | CPU s | s |\n|---|---:|---:|")
    for line in run.stdout:
        event = json.loads(line)
        if event["event"] == "StageDone":
            now = cpu.total()
            print(f"| {event['stage']} | {now - last:.1f} | {event['seconds']:.1f} |", flush=True)
            last = now
    print(f"| all | {last - first:.1f} | {time.monotonic() - clock:.1f} |")
    print(f"\n{os.cpu_count()} cores; exit code {run.wait()}")


if __name__ == "__main__":
    main()
