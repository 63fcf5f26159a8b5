"""Run jobs for a long time with the app open, and measure whether memory, open files and threads grow.

    nice python benchmarks/reliability/soak.py [--minutes 60] [--candidates 12000] [--artefacts 50] [--rate 100]
                                               [--layers 2] [--out FILE]

Two jobs run one after the other, each as the app starts it. The first generates candidates from a server on loopback
(`paced_server.py`), which writes `--rate` tokens per second into each stream. The second quantizes a small random
model with `--layers` layers many times. While a job runs, the app shows it on a
pseudo-terminal of 120×36, and this program presses keys. Each process is sampled every two seconds. The slope is a
linear fit over the samples after the first fifth of a job; its 95 % interval is from Student's t, with the number of
independent samples reduced by their autocorrelation of lag 1.
"""

from __future__ import annotations

import argparse
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import psutil  # noqa: E402
from machine import about, publish, table  # noqa: E402
from on_pty import OnPty  # noqa: E402
from workload import FAQ_TUI, MAKE_TARGET, REGENERATION, environment, serving, write_seeds  # noqa: E402

from faq_tui.core import jobs  # noqa: E402
from faq_tui.core.run.job_record import Job  # noqa: E402
from faq_tui.core.run.run import open_run  # noqa: E402
from faq_tui.core.stats.t_distribution import quantile  # noqa: E402

SIZE = (120, 36)
EVERY_S = 2.0
KEYS = (b"2", b"j", b"j", b"k", b"1", b"j", b"3", b"5", b"2", b"a")
TOKENS, STREAMS = 120, 64
WARM_UP = 0.2  # share of the samples that the fit leaves out
SET = '[sets.s{number}]\nfrom = "baseline"\ncount = {count}\n'
QUANTIZED = """
[target]
model = "target"
[seeds]
path = "seeds.jsonl"
count = 64
heldout = 0
[assemble]
max_tokens = 64
{sets}
[[recipes]]
method = "gptq"
bits = 4
group_size = 64
sets = {names}
"""


@dataclass
class Series:
    """The samples of one process, each (seconds, megabytes, open files, threads)."""

    samples: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, seconds: float, process: psutil.Process) -> None:
        try:
            with process.oneshot():
                numbers = (process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())
        except psutil.Error:
            return
        self.samples.append((seconds, *map(float, numbers)))

    def column(self, which: int) -> tuple[list[float], list[float]]:
        kept = self.samples[int(len(self.samples) * WARM_UP) :]
        return [row[0] for row in kept], [row[which] for row in kept]


def slope(seconds: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """(slope per hour, half the width of its 95 % interval)."""
    n = len(values)
    if n < 5:
        return math.nan, math.nan
    mean_x, mean_y = sum(seconds) / n, sum(values) / n
    spread = sum((x - mean_x) ** 2 for x in seconds)
    rate = sum((x - mean_x) * (y - mean_y) for x, y in zip(seconds, values, strict=True)) / spread
    rest = [y - mean_y - rate * (x - mean_x) for x, y in zip(seconds, values, strict=True)]
    squares = sum(r * r for r in rest)
    if squares == 0:
        return 3600 * rate, 0.0
    repeat = min(0.99, max(0.0, sum(a * b for a, b in pairwise(rest)) / squares))
    independent = max(3.0, n * (1 - repeat) / (1 + repeat))
    error = math.sqrt(squares / (independent - 2) / spread) if independent > 2 else math.inf
    return 3600 * rate, 3600 * error * quantile(0.025, independent - 2)


def watch(folder: Path, job: Job, env: dict[str, str], deadline: float) -> dict[str, Series]:
    """Sample the app and the job until the job ends or the time is over."""
    series = {"app": Series(), "job": Series()}
    began, turn = time.monotonic(), 0
    with OnPty([*FAQ_TUI, str(folder)], SIZE, env) as app:
        app.wait_for(b"Seeds", 120)
        processes = {"app": psutil.Process(app.pid), "job": psutil.Process(job.pid)}
        while jobs.state(job) == "running" and time.monotonic() < deadline:
            app.press(KEYS[turn % len(KEYS)])
            turn += 1
            until = time.monotonic() + EVERY_S
            while (left := until - time.monotonic()) > 0:
                app.read(left)
            app.chunks.clear()
            for name, process in processes.items():
                series[name].add(time.monotonic() - began, process)
            if app.is_over():
                raise RuntimeError(f"the app ended on {folder}")
    return series


def stop(job: Job) -> None:
    """Stop the job, and wait for its end."""
    jobs.stop(job)
    deadline = time.monotonic() + 60
    while jobs.state(job) == "running":
        if time.monotonic() > deadline:
            jobs.kill(job)
        time.sleep(0.2)


def candidates(
    work: Path, env: dict[str, str], count: int, minutes: float, rate: float
) -> tuple[dict[str, Series], int]:
    folder = work / "regenerated"
    folder.mkdir()
    seeds = max(1, count // 3)
    with serving([sys.executable, str(ROOT / "benchmarks" / "paced_server.py"), str(TOKENS), f"{rate:g}"]) as url:
        (folder / "faq.toml").write_text(REGENERATION.format(url=url, streams=STREAMS, seeds=seeds, candidates=3))
        write_seeds(folder / "seeds.jsonl", seeds)
        job = jobs.start(folder, until="regenerate")
        try:
            found = watch(folder, job, env, time.monotonic() + 60 * minutes)
        finally:
            stop(job)
    with open_run(folder) as run:
        made = int(run.store.db.execute("SELECT count(*) FROM candidates").fetchone()[0])
    print(f"{made:,} candidates, {job.events.stat().st_size / 2**20:.0f} MB of events", file=sys.stderr)
    return found, made


def artefacts(
    work: Path, env: dict[str, str], count: int, minutes: float, layers: int
) -> tuple[dict[str, Series], int]:
    folder = work / "quantized"
    folder.mkdir()
    make = [sys.executable, "-c", MAKE_TARGET.format(layers=layers), str(folder / "target")]
    subprocess.run(make, env={**env, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    names = [f"s{number}" for number in range(count)]
    sets = "".join(SET.format(number=number, count=12 + number % 50) for number in range(count))
    (folder / "faq.toml").write_text(QUANTIZED.format(sets=sets, names=names).replace("'", '"'))
    write_seeds(folder / "seeds.jsonl", 64)
    job = jobs.start(folder, until="quantize")
    try:
        found = watch(folder, job, env, time.monotonic() + 60 * minutes)
    finally:
        stop(job)
    with open_run(folder) as run:
        made = int(run.store.db.execute("SELECT count(*) FROM artefacts").fetchone()[0])
    print(f"{made} artefacts", file=sys.stderr)
    return found, made


def rows_of(what: str, found: dict[str, Series]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, series in found.items():
        for which, unit in ((1, "MB"), (2, "open files"), (3, "threads")):
            seconds, values = series.column(which)
            if not values:
                continue
            rate, half = slope(seconds, values)
            flat = "yes" if rate - half <= 0 or max(values) - min(values) <= 1 else "no"
            rows.append(
                (
                    *(
                        what,
                        f"{name}: {unit}",
                        f"{seconds[-1] / 60:.1f} min",
                        f"{values[0]:,.0f}",
                        f"{values[-1]:,.0f}",
                    ),
                    *(f"{max(values):,.0f}", f"{rate:+,.1f} ± {half:,.1f}", flat),
                )
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="longest time of each of the two jobs")
    parser.add_argument("--candidates", type=int, default=12_000)
    parser.add_argument("--artefacts", type=int, default=50)
    parser.add_argument("--rate", type=float, default=100.0, help="tokens per second of each of the 64 streams")
    parser.add_argument("--layers", type=int, default=2, help="layers of the quantized model")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(prefix="faq-soak-") as folder:
        work = Path(folder)
        env = environment(work / "home")
        if asked.candidates:
            found, made = candidates(work, env, asked.candidates, asked.minutes, asked.rate)
            rows += rows_of(f"{made:,} candidates", found)
        if asked.artefacts:
            found, made = artefacts(work, env, asked.artefacts, asked.minutes, asked.layers)
            rows += rows_of(f"{made} artefacts", found)
    head = ("job", "process", "time", "after warm-up", "at the end", "most", "slope per hour, 95 %", "flat")
    publish("Soak", about("faq-tui", "textual"), table(head, rows), asked.out)


if __name__ == "__main__":
    main()
