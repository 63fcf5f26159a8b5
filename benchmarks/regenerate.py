"""The regeneration's client beside a bare one, at the same server: throughput, CPU, memory; and what a kill costs.

`python benchmarks/regenerate.py [--quick] [--kills N] [--distilabel PYTHON] [--out FILE]`. A server writes 100 tokens
a second into each stream. For 1, 32 and 256 streams at once the two clients take turns; what counts is their ratio.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

import psutil
from machine import about, load, publish, table
from workload import FAQ_TUI, ROOT, environment, serving, write_seeds

TOKENS, PER_SECOND = 1000, 100
WARM_S = 5.0

SETTINGS = """
[target]
model = "nobody/knows-it"
[seeds]
path = "seeds.jsonl"
count = {seeds}
heldout = 0
[sources.elder]
base_url = "{url}"
model = "fake-8b"
concurrency = {at_once}
candidates = {candidates}
on_flagged = "drop"
"""


def paced(tokens: int, per_second: float) -> AbstractContextManager[str]:
    return serving([sys.executable, str(ROOT / "benchmarks/paced_server.py"), str(tokens), str(per_second)])


@contextmanager
def regenerating(
    folder: Path, url: str, at_once: int, seeds: int, candidates: int = 3
) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    text = SETTINGS.format(url=url, at_once=at_once, seeds=seeds, candidates=candidates)
    (folder / "faq.toml").write_text(text)
    write_seeds(folder / "seeds.jsonl", seeds)
    env = environment(folder)
    subprocess.run([*FAQ_TUI, "run", str(folder), "--only", "seeds"], env=env, check=True, capture_output=True)
    command = [*FAQ_TUI, "run", str(folder), "--only", "regenerate"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def deltas(folder: Path) -> Iterator[tuple[float, int]]:
    """(unix seconds, tokens) of what the run has read: a token of the paced server begins with its only space."""
    for path in folder.glob("jobs/*/events.jsonl"):
        with path.open() as file:
            for line in file:
                if line.startswith('{"event": "CandidateDelta"') and line.endswith("\n"):
                    body = json.loads(line)
                    yield body["time"], (body["reasoning"] + body["answer"]).count(" ")


def ours(url: str, at_once: int, seconds: float) -> dict[str, float]:
    """By its own deltas, which its events hold with their times."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        with regenerating(folder, url, at_once, seeds=max(40, 4 * at_once)) as process:
            while not any(deltas(folder)):
                time.sleep(0.2)
            time.sleep(WARM_S)
            used = psutil.Process(process.pid)
            began, cpu = time.time(), sum(used.cpu_times()[:2])
            time.sleep(seconds)
            ended, spent = time.time(), sum(used.cpu_times()[:2]) - cpu
            time.sleep(1.5)  # deltas are merged for a while before they are told
        tokens = sum(count for at, count in deltas(folder) if began <= at < ended)
    return {"tokens_per_s": tokens / (ended - began), "cpu_per_million": spent / tokens * 1e6}


def bare(
    url: str, at_once: int, seconds: float, python: str = sys.executable, script: str = "bare"
) -> dict[str, float]:
    command = [python, str(ROOT / f"benchmarks/{script}_client.py"), url, str(at_once), str(seconds), str(WARM_S)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def throughput(rounds: int, seconds: float, distilabel: str | None) -> str:
    rows = []
    with paced(TOKENS, PER_SECOND) as url:
        for at_once in (1, 32, 256):
            found: dict[str, list[dict[str, float]]] = {"bare": [], "faq-tui": [], "distilabel": []}
            for _ in range(rounds):
                found["bare"].append(bare(url, at_once, seconds))
                found["faq-tui"].append(ours(url, at_once, seconds))
                if distilabel:
                    found["distilabel"].append(bare(url, at_once, seconds, distilabel, "distilabel"))
            for name, results in found.items():
                if not results:
                    continue
                ratios = [r["tokens_per_s"] / b["tokens_per_s"] for r, b in zip(results, found["bare"], strict=True)]
                speed, cpu = (median(r[key] for r in results) for key in ("tokens_per_s", "cpu_per_million"))
                rows.append([str(at_once), name, f"{speed:,.0f}", f"{median(ratios):.3f}", f"{cpu:.1f}"])
    head = ["streams", "client", "tokens/s", "of the bare one's", "CPU s per million tokens"]
    return table(head, rows)


def memory(candidates: int) -> str:
    """Resident memory while so many short answers are taken: the first is after a tenth of them."""
    with paced(60, 0) as url, tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        with regenerating(folder, url, 64, seeds=candidates // 5, candidates=5) as process:
            seen: list[tuple[int, float]] = []
            while process.poll() is None:
                try:
                    seen.append((_done(folder), psutil.Process(process.pid).memory_info().rss / 1e6))
                except psutil.Error:
                    break
                time.sleep(0.5)
            code = process.wait()
    marks = [next((mb for done, mb in seen if done >= candidates * part / 10), None) for part in range(1, 10)]
    told = ", ".join("?" if mb is None else f"{mb:.0f}" for mb in marks)
    peak = max(mb for _, mb in seen)
    return f"{candidates:,} candidates (exit code {code}): MB after each tenth: {told}; peak {peak:.0f}"


def _done(folder: Path) -> int:
    import sqlite3

    with sqlite3.connect(f"file:{folder / 'faq.db'}?mode=ro", uri=True) as db:
        return int(db.execute("SELECT count(*) FROM candidates").fetchone()[0])


def killed(kills: int) -> str:
    sys.path[:0] = [str(ROOT / "tests")]
    from fake_server import FakeServer
    from kill_runs import killed_runs

    with FakeServer() as server, tempfile.TemporaryDirectory() as place:
        o = killed_runs(server, Path(place) / "run", kills, seeds=max(60, 10 * kills), dice=random.Random(50))
    return (
        f"{o.kills} kills, {o.in_the_middle} of them in the middle, {o.candidates:,} candidates: {o.regenerated} "
        f"stored ones asked for again, {o.lost} lost, {o.doubled} doubled; {o.requests:,} requests"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, 5 s each")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="kill a run N times as well")
    parser.add_argument("--only-kills", action="store_true")
    parser.add_argument("--distilabel", metavar="PYTHON", help="of an environment with distilabel 1.5.3")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    before = load()
    parts = []
    if not asked.only_kills:
        parts.append(throughput(1 if asked.quick else 3, 5.0 if asked.quick else 15.0, asked.distilabel))
        parts.append(f"Memory. {memory(2000 if asked.quick else 10_000)}")
    if asked.kills:
        parts.append(f"Kills. {killed(asked.kills)}")
    where = f"{about('h11')}; load {before:.1f} before, {load():.1f} after"
    publish("Regenerating against a bare client", where, "\n\n".join(parts), asked.out)


if __name__ == "__main__":
    main()
