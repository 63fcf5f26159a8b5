"""Start a run, kill its processes, and check what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from run_contents import rows_of

from tests.support.shell import environment

WHO = ("parent", "child", "both")
MARK = "FAQ_TUI_KILLS"  # an environment variable that all processes of an attempt inherit
PATIENCE_S = 900.0
ORPHAN_S = 60.0


@dataclass
class Outcome:
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)  # (stage, who) to the number of kills
    ended_first: int = 0  # attempts that ended before their kill
    runs: int = 0
    equal: int = 0
    asked_twice: int = 0  # stored candidates and judge's replies that were requested again
    lost: int = 0  # rows that were there before a kill, and not after it
    orphans: int = 0
    unreadable: int = 0  # kills after which the database or `status` failed
    bad_ends: int = 0  # commands that did not end with a sentence and an exit code after the death of a child

    @property
    def failed(self) -> bool:
        bad = (self.asked_twice, self.lost, self.orphans, self.unreadable, self.bad_ends)
        return any(bad) or self.equal != self.runs


def start(folder: Path, mark: str, *options: str) -> subprocess.Popen[bytes]:
    """Start the command `run`, and give the environment of all its processes the mark."""
    with (folder / "stderr.txt").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "faq_tui", "run", str(folder), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment(**{MARK: mark}),
        )


def processes(mark: str) -> list[int]:
    """The living processes of an attempt. Zombies have an empty environment, so they do not count."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def events(folder: Path, known: set[Path]) -> list[dict[str, Any]]:
    """The events of the attempt that began after the jobs in `known`."""
    new = [path for path in (folder / "jobs").glob("*/events.jsonl") if path.parent not in known]
    lines = [line for path in new for line in path.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line) for line in lines]


def begun(found: list[dict[str, Any]]) -> str:
    """The stage that an attempt is in, or "" before the first stage that has work."""
    return next((e["stage"] for e in reversed(found) if e["event"] == "StageStarted"), "")


def strike(
    process: subprocess.Popen[bytes],
    folder: Path,
    mark: str,
    who: str,
    at: str,
    dice: random.Random,
    outcome: Outcome,
) -> int | None:
    """Kill the command, one of the processes that it started, or all of them, and wait until all have ended.

    `at` says when the kill comes. Returns 0 if the command ended successfully after the death of a child, else None.
    """
    children = [pid for pid in processes(mark) if pid != process.pid]
    if who == "child" and not children:
        who = "parent"
    hit = {"parent": [process.pid], "child": [dice.choice(children)] if children else [], "both": children}[who]
    for pid in [*hit, *([process.pid] if who == "both" else [])]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    outcome.kills[at, who] += 1
    try:
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        outcome.bad_ends += 1
        print(f"the command hung after the death of a child in {at}", file=sys.stderr)
        return None
    said = (folder / "stderr.txt").read_text(errors="replace")
    if who == "child" and (code not in (0, 1, 2) or "Traceback" in said or (code and "faq-tui: " not in said)):
        outcome.bad_ends += 1
        print(f"after the death of a child in {at}: exit status {code}: {said[-500:]}", file=sys.stderr)
    deadline = time.monotonic() + ORPHAN_S
    while (left := processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        outcome.orphans += len(left)
        print(f"left after a kill of {who} in {at}: {[command_of(pid) for pid in left]}", file=sys.stderr)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return code if who == "child" and code == 0 else None


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return str(pid)


def check(folder: Path, before: dict[str, set[str]], outcome: Outcome, at: str) -> dict[str, set[str]]:
    """Check a run after a kill. Returns its rows."""
    from faq_tui.core.run.run import open_run
    from faq_tui.core.status import status_of

    try:
        now = rows_of(folder)
        if (folder / "faq.db").exists():
            with open_run(folder, read_only=True) as run:
                status_of(run)
    except Exception as error:  # noqa: BLE001  any failure counts
        outcome.unreadable += 1
        print(f"after a kill in {at}: {type(error).__name__}: {error}", file=sys.stderr)
        return before
    for name in ("seeds", "candidates", "scores", "judge_replies", "artefacts"):
        if missing := before.get(name, set()) - now.get(name, set()):
            outcome.lost += len(missing)
            print(f"lost {len(missing)} rows of {name} after a kill in {at}", file=sys.stderr)
    return now


def undisturbed(folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "faq_tui", "run", str(folder), *options]
    subprocess.run(command, check=True, capture_output=True, env=environment())
