"""Runs in every state, for tests of Home."""

from __future__ import annotations

import os
from pathlib import Path

from faq_tui.core.run.run import open_run
from faq_tui.core.run_summary import RunSummary
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.stages.report import COMPARED
from faq_tui.core.store import stages
from tests.support.app_host import NOW
from tests.support.shell import make_run


def run_in_state(
    folder: Path, target: str, until: str = "", state: str = "done", message: str = "", age_s: float = 0.0
) -> Path:
    """A run whose stages up to `until` are done, but `until` ended with `state`. It changed `age_s` before NOW."""
    make_run(folder, target=target)
    names = [stage.name for stage in all_stages()]
    with open_run(folder) as run:
        for name in names[: names.index(until) + 1] if until else []:
            stages.begin(run.store, name, "signature", "job")
            if name != until or state != "running":
                stages.end(run.store, name, state if name == until else "done", message)
        with run.store.writing() as db:
            db.execute(
                "UPDATE stages SET started = ? + rowid, finished = ? + 9", (NOW - age_s - 99, NOW - age_s - 99)
            )
            db.execute("UPDATE stages SET finished = NULL WHERE state = 'running'")
    os.utime(folder / "faq.toml", (NOW - age_s, NOW - age_s))
    return folder


def many_states(here: Path) -> None:
    """One run in each state below `here`."""
    verdicts = f"{COMPARED}2 better, 0 worse, 1 within noise"
    run_in_state(here / "finance", "Qwen/Qwen3-8B", "report", message=verdicts, age_s=3600 * 5)
    run_in_state(
        here / "code", "Qwen/Qwen3-8B", "regenerate", "failed", "http://elder:8000/v1 refuses the key", 3600 * 30
    )
    run_in_state(here / "old" / "deepseek-math", "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "judge", age_s=86_400 * 9)
    run_in_state(here / "stopped", "meta-llama/Llama-3.1-8B-Instruct", "quantize", "stopped", age_s=86_400 * 12)
    run_in_state(here / "killed", "meta-llama/Llama-3.1-8B-Instruct", "quantize", "running", age_s=86_400 * 13)
    run_in_state(here / "fresh", "embedded", age_s=600)
    broken = here / "broken"
    broken.mkdir()
    (broken / "faq.toml").write_text("[target\n")
    os.utime(broken / "faq.toml", (NOW - 86_400 * 20, NOW - 86_400 * 20))


SUMMARIES = (
    RunSummary(
        Path("/data/quant/qwen3-8b-support"), "running", "Qwen/Qwen3-8B", "quantize", changed=NOW - 60,
        disk=31_400_000_000,
    ),
    RunSummary(
        Path("/data/quant/finance"), "done", "Qwen/Qwen3-8B", "report", verdict="2 better, 1 within noise",
        changed=NOW - 3600 * 5, disk=12_300_000_000,
    ),
    RunSummary(
        Path("/data/quant/code"), "failed", "Qwen/Qwen3-8B", "regenerate",
        "http://elder:8000/v1 does not serve model 'Qwen3-32b'; did you mean 'Qwen3-32B'?", changed=NOW - 3600 * 30,
        disk=2_100_000,
    ),
    RunSummary(
        Path("/data/quant/old/deepseek-math"), "partly", "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "judge",
        "256 picks", changed=NOW - 86_400 * 9, disk=81_000_000,
    ),
    RunSummary(
        Path("/srv/models/llama/first-try"), "stopped", "meta-llama/Llama-3.1-8B-Instruct", "quantize",
        "stopped by request", changed=NOW - 86_400 * 12, disk=6_000_000_000,
    ),
    RunSummary(Path("/data/quant/fresh"), "new", "embedded", changed=NOW - 86_400 * 13, disk=12_000),
    RunSummary(
        Path("/data/quant/broken"), "broken", message="/data/quant/broken/faq.toml is not valid TOML: line 1",
        changed=NOW - 86_400 * 20, disk=4096,
    ),
)  # fmt: skip


class StillScanner:
    """A RunScanner that has read these runs. The settings of the run `finance` have changed."""

    def __init__(self, _here: Path, runs: tuple[RunSummary, ...]) -> None:
        self.complete = True
        self._news = list(runs)
        self._stale: list[tuple[Path, list[str]]] = []

    def start(self) -> None: ...
    def close(self) -> None: ...
    def reload(self) -> None: ...

    def take(self) -> list[RunSummary]:
        taken, self._news = self._news, []
        return taken

    def take_gone(self) -> list[Path]:
        return []

    def take_stale(self) -> list[tuple[Path, list[str]]]:
        taken, self._stale = self._stale, []
        return taken

    def ask_stale(self, folder: Path) -> None:
        self._stale.append((folder, ["quantize", "evaluate", "report"] if folder.name == "finance" else []))
