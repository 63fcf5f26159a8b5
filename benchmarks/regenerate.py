"""Compare the regeneration's client with a minimal client on the same server: throughput, CPU time and memory.

The program also measures how much work is lost when a run is killed.

`python benchmarks/regenerate.py [--streams N …] [--rounds N] [--openai] [--distilabel PYTHON] [--kills N]`. A server
writes 100 tokens per second into each stream. With 1, 32, 128 and 256 concurrent streams, the clients take turns and
send the same requests. The time is measured from the first request to the end of the last answer. The result is the
ratio of the clients' times.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil
from machine import about, load, publish
from throughput import paced, regenerating, throughput
from workload import ROOT

STREAMS = [1, 32, 128, 256]


def memory(candidates: int) -> str:
    """Resident memory while `candidates` short answers are read. The first value is taken after a tenth of these
    answers."""
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
    sys.path[:0] = [str(ROOT)]
    from tests.support.fake_server import FakeServer
    from tests.support.kill_runs import killed_runs

    with FakeServer() as server, tempfile.TemporaryDirectory() as place:
        o = killed_runs(server, Path(place) / "run", kills, seeds=max(60, 20 * kills), dice=random.Random(50))
    return (
        f"{o.kills} kills, {o.in_the_middle} of them in the middle, {o.candidates:,} candidates: {o.regenerated} "
        f"stored candidates requested again, {o.lost} lost, {o.doubled} stored twice; {o.requests:,} requests "
        f"({o.requests / o.candidates:.2f} per candidate), {o.faults:,} of which failed at the server"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--streams", type=int, nargs="*", default=STREAMS, metavar="N", help="concurrent streams; may be empty"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--candidates", type=int, default=10_000, metavar="N", help="for measuring memory; 0 means none"
    )
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="also kill a run N times")
    parser.add_argument("--only-kills", action="store_true")
    parser.add_argument("--openai", action="store_true", help="measure the official client, too")
    parser.add_argument("--distilabel", metavar="PYTHON", help="Python with distilabel 1.5.3, to measure it, too")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    before = load()
    parts = []
    others = {"openai": sys.executable} if asked.openai else {}
    if asked.distilabel:
        others["distilabel"] = asked.distilabel
    if asked.streams and not asked.only_kills:
        parts.append(throughput(asked.streams, asked.rounds, others, lambda text: print(text, file=sys.stderr)))
    if asked.candidates and not asked.only_kills:
        parts.append(f"Memory. {memory(asked.candidates)}")
    if asked.kills:
        parts.append(f"Kills. {killed(asked.kills)}")
    where = f"{about('openai', 'aiohttp')}; load {before:.1f} before, {load():.1f} after"
    publish("Regeneration compared with a minimal aiohttp client", where, "\n\n".join(parts), asked.out)


if __name__ == "__main__":
    main()
