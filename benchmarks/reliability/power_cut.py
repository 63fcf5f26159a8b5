"""Copy a run's database at random moments while another process writes to it, as a power cut would leave it.

    python benchmarks/reliability/power_cut.py [--copies 500] [--seed 0] [--out FILE]

A process stores candidates and scores as a run does, and reports each write after its end. It is stopped with SIGSTOP
at random moments, often in the middle of a write. Then `faq.db` and `faq.db-wal` are copied, and the process goes on.
Each copy is opened by faq-tui, passes SQLite's integrity check, and must hold every write that was reported before.

In a second copy, the write-ahead log loses a random part of its end, as if the last sectors had not reached the disk.
This copy must open and pass the check, too, and hold the first writes without a gap. In a third copy, one random page
of the log is overwritten with random bytes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from machine import about, load, publish, table  # noqa: E402

PAGE = 4096
WRITER = """
import sys
from pathlib import Path
from faq_tui.core.store import Store, candidates, picks
from tests.support.store_bench import candidate, opened
store = opened(Path(sys.argv[1]), 100)
for number in range(1, 1 << 30):
    row = candidates.add(store, candidate(number, answer=f"{number} " + "x" * (number * 7919 % 3000)))
    if number % 3 == 0:
        picks.add_score(store, picks.ScoreRow(row, "j1", "llm", 3.0))
    print(number, flush=True)
"""


@dataclass
class Outcome:
    copies: int = 0
    opened: int = 0
    intact: int = 0
    complete: int = 0  # copies that hold all writes they must hold
    least: int = 1 << 60  # smallest and largest number of writes that a copy had to hold
    most: int = 0


def look(folder: Path, least: int, outcome: Outcome) -> None:
    """Open a copy as faq-tui does, and count what it holds."""
    from faq_tui.core.store import Store

    outcome.copies += 1
    outcome.least, outcome.most = min(outcome.least, least), max(outcome.most, least)
    try:
        store = Store(folder / "faq.db")
    except Exception as error:  # noqa: BLE001  any failure counts
        print(f"a copy cannot be opened: {type(error).__name__}: {error}", file=sys.stderr)
        return
    outcome.opened += 1
    with closing(store):
        outcome.intact += store.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        numbers = [int(row[0].split()[0]) for row in store.db.execute("SELECT answer FROM candidates ORDER BY id")]
    complete = numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= least
    outcome.complete += complete
    if not complete:
        print(f"a copy holds {len(numbers)} of at least {least} writes", file=sys.stderr)


def cut(log: Path, dice: random.Random) -> None:
    """Remove a random part of the end of the log."""
    if log.exists():
        size = log.stat().st_size
        os.truncate(log, dice.randrange(max(1, size - 20 * PAGE), size + 1) if size else 0)


def scribble(log: Path, dice: random.Random) -> None:
    """Overwrite one page of the last ten with random bytes."""
    if log.exists() and (size := log.stat().st_size) > PAGE:
        with log.open("r+b") as file:
            file.seek(max(0, size - dice.randrange(1, 10) * PAGE))
            file.write(dice.randbytes(PAGE))
            file.truncate(size)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--copies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    dice, loaded, began = random.Random(options.seed), load(), time.monotonic()
    whole, torn, scribbled = Outcome(), Outcome(), Outcome()
    with tempfile.TemporaryDirectory(prefix="faq-tui-power-") as name:
        work = Path(name)
        path, heard = work / "faq.db", work / "heard.txt"
        with heard.open("wb") as output:
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=output, cwd=ROOT)
        try:
            while not heard.stat().st_size:
                if writer.poll() is not None:
                    sys.exit("the writer ended")
                time.sleep(0.01)
            for _ in range(options.copies):
                time.sleep(dice.uniform(0.0, 0.04))
                writer.send_signal(signal.SIGSTOP)
                wait_until_stopped(writer.pid)
                lines = heard.read_bytes().split(b"\n")[:-1]
                for outcome, damage in ((whole, None), (torn, cut), (scribbled, scribble)):
                    folder = work / "copy"
                    folder.mkdir()
                    for end in ("", "-wal"):
                        if Path(f"{path}{end}").exists():
                            shutil.copyfile(f"{path}{end}", folder / f"faq.db{end}")
                    if damage is not None:
                        damage(folder / "faq.db-wal", dice)
                    look(folder, len(lines) if damage is None else 0, outcome)
                    shutil.rmtree(folder)
                writer.send_signal(signal.SIGCONT)
        finally:
            writer.kill()
            writer.wait()
    rows = [
        [title, *(str(value) for value in (o.copies, o.opened, o.intact, o.complete))]
        for title, o in (
            (f"as it was, {whole.least:,} to {whole.most:,} writes", whole),
            ("a part of the log's end is missing", torn),
            ("one page of the log is overwritten", scribbled),
        )
    ]
    note = f"seed {options.seed}; load {loaded:.1f} before, {load():.1f} after; {time.monotonic() - began:.0f} s"
    body = f"{table(['copy', 'copies', 'opened', 'intact', 'complete'], rows)}\n\n{note}"
    publish("Copies of a database between two writes", about("faq-tui"), body, options.out)
    sys.exit(any(o.copies != o.complete or o.copies != o.intact for o in (whole, torn, scribbled)))


def wait_until_stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.0005)


if __name__ == "__main__":
    main()
