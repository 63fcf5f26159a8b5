"""Measure every step that reads or writes many rows, on runs of several sizes: CPU seconds and peak memory.

`python benchmarks/reliability/scale.py [--sizes N ...] [--most N] [--keep FOLDER] [--only STEP ...]` makes the runs
and prints the tables. Each step runs in a fresh process. The CPU seconds and the peak memory (resident) include the
processes that the step starts. The exponent is fitted to the CPU seconds of the two largest sizes, after the seconds
of an empty start (`faq-tui --version` for commands) are subtracted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from machine import about, publish, table  # noqa: E402

STEPS_PY = str(Path(__file__).with_name("scale_steps.py"))
FAQ_TUI = [sys.executable, "-m", "faq_tui"]
CHOSEN_OF_MOST = 256  # number of seeds to regenerate in the run with the most seeds
# Maps each table that `status` reads to a column. Writing the column's own value into one row counts as a change.
CHANGED = {"picks": "reason", "scores": "reason", "candidates": "requests"}
FORMATS = ("jsonl", "parquet", "text")
LEAST_S = 0.05  # steps that take less CPU time than this beyond their start have no exponent


@dataclass
class Measured:
    cpu: float  # seconds, user and system
    peak_mb: float
    wall: float
    inside: dict[str, float] = field(default_factory=dict)

    def words(self) -> str:
        return f"{self.cpu:.1f} s, {self.peak_mb:,.0f} MB"


def run(command: Sequence[str], env: dict[str, str], log: Path) -> Measured:
    """Run a command, and measure it. Raises RuntimeError with the end of its output if it fails."""
    began = time.perf_counter()
    with log.open("wb") as err, tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        out.seek(0)
        text = out.read(1 << 16).decode(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}: {log.read_text()[-1500:]}{text[-500:]}")
    inside = json.loads(text) if STEPS_PY in command else {}
    return Measured(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, wall, inside)


class Bench:
    """Makes runs in a folder and measures the steps on them. Runs that are there already are used again."""

    def __init__(self, folder: Path, only: Sequence[str]) -> None:
        self.folder, self.only = folder, only
        self.rows: dict[str, dict[int, Measured]] = {}
        places = {f"XDG_{name}_HOME": str(folder / "home" / name.lower()) for name in ("CONFIG", "CACHE", "STATE")}
        self.env = {**os.environ, **places, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.target = folder / "target"
        if not self.target.is_dir():
            self._run([sys.executable, STEPS_PY, "target", str(self.target)])
        self.base = self._run([*FAQ_TUI, "--version"])

    def _run(self, command: Sequence[str]) -> Measured:
        return run(command, self.env, self.folder / "log.txt")

    def measure(self, name: str, size: int, command: Sequence[str]) -> Measured | None:
        if self.only and name not in self.only:
            return None
        found = self._run(command)
        self.rows.setdefault(name, {})[size] = found
        inside = ", ".join(f"{what} {value:.3f}" for what, value in found.inside.items())
        print(
            f"{size:>9,} {name}: {found.words()}, {found.wall:.1f} s on the clock {inside}",
            file=sys.stderr,
            flush=True,
        )
        return found

    def step(self, name: str, size: int, step: str, folder: Path) -> None:
        self.measure(name, size, [sys.executable, STEPS_PY, step, str(folder)])

    def status(self, name: str, size: int, folder: Path) -> None:
        self.measure(name, size, [*FAQ_TUI, "status", str(folder), "--json"])

    def imported(self, size: int, chosen: int) -> Path:
        """A run of `size` seeds. The import of a new run is measured."""
        from scale_runs import prepare

        folder = self.folder / f"run-{size}-{chosen}"
        if not folder.is_dir():
            prepare(folder, self.target, size, chosen)
        shutil.rmtree(folder / "jobs", ignore_errors=True)
        if not (folder / "faq.db").is_file():
            self.measure("import", size, [*FAQ_TUI, "run", str(folder), "--only", "seeds"]) or self._run(
                [*FAQ_TUI, "run", str(folder), "--only", "seeds"]
            )
        return folder

    def all_steps(self, size: int) -> None:
        """Measure every step on a run of `size` seeds with three candidates each."""
        folder = self.imported(size, size)
        if not (folder / "filled").is_file():
            self._run([sys.executable, STEPS_PY, "fill", str(folder)])
            (folder / "filled").touch()
        seed_id = first_seed(folder / "faq.db")
        self.measure("judge, nothing to score", size, [*FAQ_TUI, "run", str(folder), "--until", "judge"])
        self.measure("judge, up to date", size, [*FAQ_TUI, "run", str(folder), "--until", "judge"])
        self.status("status", size, folder)
        self.status("status, nothing changed", size, folder)
        self.measure("pick", size, [*FAQ_TUI, "pick", str(folder), seed_id, "2"])
        for changed in CHANGED:
            change(folder / "faq.db", changed)
            self.status(f"status, {changed} changed", size, folder)
        self.step("app, first page", size, "first_page", folder)
        self.step("app, 24 picks", size, "picks", folder)
        self.step("search for a rare word", size, "search", folder)
        self.measure("assemble", size, [*FAQ_TUI, "run", str(folder), "--until", "assemble"])
        self.status("status, assembled", size, folder)
        for kind in FORMATS if (folder / "calibration").is_dir() else ():
            out = str(self.folder / "exported")
            self.measure(
                f"export {kind}",
                size,
                [*FAQ_TUI, "export", str(folder), "--set", "elder", "--format", kind, "-o", out],
            )
        self.measure("report", size, [*FAQ_TUI, "report", str(folder)])

    def most_seeds(self, size: int) -> None:
        folder = self.imported(size, CHOSEN_OF_MOST)
        self.step("app, first page", size, "first_page", folder)
        self.step("search for a rare word", size, "search", folder)
        self.status("status", size, folder)

    def history(self) -> None:
        """A run of 1,000 seeds whose last job left 500 MB of events."""
        folder = self.imported(1000, 800)
        if not (folder / "jobs" / "20261130-000000-made").is_dir():
            self._run([sys.executable, STEPS_PY, "write_history", str(folder)])
        self.step("app, 500 MB of events", 1000, "history", folder)

    def artefacts(self) -> None:
        """A run of 1,000 seeds with 5,000 artefacts."""
        folder = self.imported(1000, 900)
        if "[[recipes]]" not in (folder / "faq.toml").read_text():
            self._run([sys.executable, STEPS_PY, "artefacts", str(folder)])
        self.measure("status, 5,000 artefacts", 1000, [*FAQ_TUI, "status", str(folder), "--json"])
        self.measure("report, 5,000 artefacts", 1000, [*FAQ_TUI, "report", str(folder)])
        self.step("queue of 5,000 artefacts", 1000, "artefact_queue", folder)

    def exponent(self, name: str) -> str:
        found = sorted((size, one.cpu - self.base.cpu) for size, one in self.rows[name].items())[-2:]
        if len(found) < 2 or found[0][1] < LEAST_S or found[1][1] < LEAST_S:
            return "–"
        (small, less), (large, more) = found
        return f"{math.log(more / less) / math.log(large / small):.2f}"


def change(database: Path, table: str) -> None:
    """Change nothing in the table, in a way that makes kept values of this table invalid."""
    import sqlite3

    db = sqlite3.connect(database)
    try:
        with db:
            db.execute(
                f"UPDATE {table} SET {CHANGED[table]} = {CHANGED[table]} WHERE id = (SELECT min(id) FROM {table})"
            )
    finally:
        db.close()


def first_seed(database: Path) -> str:
    import sqlite3

    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return str(db.execute("SELECT id FROM seeds WHERE role = 'chosen' ORDER BY position LIMIT 1").fetchone()[0])
    finally:
        db.close()


def tables(bench: Bench) -> str:
    sizes = sorted({size for row in bench.rows.values() for size in row})
    body = [
        (
            name,
            *(row[size].words() if size in row else "–" for size in sizes),
            bench.exponent(name),
        )
        for name, row in bench.rows.items()
    ]
    first = table(("step", *(f"{size:,} seeds" for size in sizes), "exponent"), body)
    inside = [
        (f"{name}: {what}", f"{size:,}", f"{1000 * value:,.0f} ms")
        for name, row in bench.rows.items()
        for size, one in sorted(row.items())
        for what, value in one.inside.items()
        if what not in ("artefacts", "rows")
    ]
    second = table(("inside the app or the step", "seeds", "on the clock"), inside) if inside else ""
    start = f"An empty start (`faq-tui --version`) takes {bench.base.words()}."
    return f"{start}\n\n{first}\n\n{second}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--most", type=int, default=1_000_000, help="seeds of the largest run; 0 leaves it out")
    parser.add_argument("--artefacts", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", nargs="*", default=[], help="measure only the steps with these names")
    parser.add_argument("--keep", type=Path, help="folder for the runs; they are used again if they are there")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faq-scale-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder.resolve(), asked.only)
        for size in asked.sizes:
            bench.all_steps(size)
        if asked.most:
            bench.most_seeds(asked.most)
        if asked.artefacts:
            bench.artefacts()
            bench.history()
        publish("Scale", about("faq-tui"), tables(bench), asked.out)


if __name__ == "__main__":
    main()
