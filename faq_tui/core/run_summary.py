"""Facts about a run for one line of a list. The functions load neither seeds nor candidates."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from faq_tui.core.base.errors import FaqError
from faq_tui.core.evidence import WITHIN_NOISE
from faq_tui.core.run.contents import check_contents
from faq_tui.core.run.delete_run import disk_bytes
from faq_tui.core.run.run import lock_owner, open_run
from faq_tui.core.settings import load_settings
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.stages.report import COMPARED
from faq_tui.core.status import stage_states
from faq_tui.core.store.stages import StageRow, rows_of_file

State = Literal["new", "running", "done", "partly", "failed", "stopped", "interrupted", "broken"]


@dataclass(frozen=True)
class RunSummary:
    """One run of a list.

    In the state "partly", the stages up to `stage` are done, and the later stages have not run yet. In the state
    "broken", the settings or the database cannot be read, and `message` says why.
    """

    folder: Path
    state: State
    target: str = ""
    stage: str = ""  # the stage that `state` is about; "" in the states "new" and "broken"
    message: str = ""  # the stage's summary, or the reason for its failure
    verdict: str = ""  # how many comparisons have each verdict; "" if the report is not written
    changed: float = 0.0  # unix seconds of the last start or end of a stage, or of the last change of the settings
    disk: int | None = None  # bytes on the disk; None if they are not counted yet


def summarise(folder: Path) -> RunSummary:
    """The summary of a run, without its size on the disk.

    If the run is damaged, the state of the summary is "broken".
    """
    settings_file = folder / "faq.toml"
    try:
        check_contents(folder)
        target = load_settings(settings_file).target.model
        changed = settings_file.stat().st_mtime
        rows = rows_of_file(folder / "faq.db")
        running = is_running(folder)
    except FaqError as error:
        return RunSummary(folder, "broken", message=str(error), changed=_changed(settings_file))
    except OSError as error:
        reason = f"{error.filename or folder} cannot be read: {error.strerror}"
        return RunSummary(folder, "broken", message=reason, changed=_changed(settings_file))
    times = [at for row in rows.values() for at in (row.started, row.finished) if at is not None]
    summary = _of_rows(folder, rows, running)
    verdict = "" if running else _verdict(rows)
    return replace(summary, target=target, verdict=verdict, changed=max([changed, *times]))


def with_disk(summary: RunSummary) -> RunSummary:
    """The same summary with the size of the run's folder. The function reads the size of every file in the folder."""
    return replace(summary, disk=disk_bytes(summary.folder))


def is_running(folder: Path) -> bool:
    """True if a job is working on the run. Raises OSError if the lock cannot be read."""
    return lock_owner(folder) is not None


def stale_stages(folder: Path) -> list[str]:
    """Names of finished stages with settings or inputs that have changed since the stage finished.

    Raises FaqError or OSError.

    The signatures of all stages are computed, which takes long for a large run.
    """
    with open_run(folder, read_only=True) as run:
        return [entry["stage"] for entry in stage_states(run, busy=False) if entry["state"] == "stale"]


def age(seconds: float) -> str:
    """A time span in a few characters, such as `now`, `12 min`, `5 h` or `3 d`."""
    if seconds < 90:
        return "now"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h" if seconds < 48 * 3600 else f"{round(seconds / 86_400)} d"


def size_in_words(count: int | None) -> str:
    """Bytes in a few characters, such as `1.2 GB` or `340 MB`. Returns "" if the size is not known."""
    if count is None:
        return ""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * unit:
            value = count / unit
            return f"{value:.1f} {name}" if value < 10 else f"{value:,.0f} {name}"
    return f"{count} B"


def _of_rows(folder: Path, rows: dict[str, StageRow], running: bool) -> RunSummary:
    """A summary whose state is the state of the stage that began last."""
    if not rows:
        return RunSummary(folder, "running" if running else "new")
    last = max(rows.values(), key=lambda row: row.started)
    if running:
        return RunSummary(folder, "running", stage=last.stage)
    if last.state == "running":
        return RunSummary(folder, "interrupted", stage=last.stage)
    if last.state in ("failed", "stopped"):
        ended: State = "failed" if last.state == "failed" else "stopped"
        return RunSummary(folder, ended, stage=last.stage, message=last.message)
    done = [stage.name for stage in all_stages() if stage.name in rows and rows[stage.name].state == "done"]
    everything = len(done) == len(all_stages())
    stage = done[-1] if done else last.stage
    return RunSummary(folder, "done" if everything else "partly", stage=stage, message=rows[stage].message)


def _verdict(rows: dict[str, StageRow]) -> str:
    """How often each verdict occurs, such as `2 better, 1 within noise`. Verdicts that do not occur are left out."""
    report = rows.get("report")
    if report is None or report.state != "done" or not report.message.startswith(COMPARED):
        return ""
    counts = [part for part in report.message.removeprefix(COMPARED).split(", ") if not part.startswith("0 ")]
    only = counts[0].partition(" ")[2] if len(counts) == 1 else ""
    return "no visible difference" if only == WITHIN_NOISE else ", ".join(counts)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
