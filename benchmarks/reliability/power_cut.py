"""Copy a run's database at random moments while another process writes to it, as a power cut would leave it.

    python benchmarks/reliability/power_cut.py [--copies 500] [--seed 0] [--out FILE]

A process stores candidates and scores as a run does, and reports each write after its end. It is stopped with SIGSTOP
at random moments, often in the middle of a write. Then `faq.db` and `faq.db-wal` are copied, and the process goes on.
Each copy is opened by faq-tui, passes SQLite's integrity check, and must hold every write that was reported before.

In a second copy, the write-ahead log loses a random part of its end, as if the last sectors had not reached the disk.
This copy must open and pass the check, too, and hold the first writes without a gap. In a third copy, a random page
of the log is overwritten with random bytes. Only the part of the log after the last checkpoint is damaged, because
SQLite makes sure that the rest is on the disk.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import struct
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

PAGE, FRAME_HEAD, LOG_HEAD = 4096, 24, 32  # bytes
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
        try:
            outcome.intact += store.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            answers = store.db.execute("SELECT answer FROM candidates ORDER BY id").fetchall()
        except sqlite3.DatabaseError as error:
            print(f"a copy is damaged: {error}", file=sys.stderr)
            return
    numbers = [int(row[0].split()[0]) for row in answers]
    complete = numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= least
    outcome.complete += complete
    if not complete:
        print(f"a copy holds {len(numbers)} of at least {least} writes", file=sys.stderr)


def open_part(path: Path) -> tuple[int, int]:
    """The bytes of the log between which a power cut may lose data: from the last checkpoint to the last write.

    SQLite writes the log to the disk before it copies pages from the log into the database. Therefore the part that
    it has begun to copy cannot be lost. The numbers of frames are in the header of the file `-shm`
    (https://sqlite.org/walformat.html).
    """
    header = Path(f"{path}-shm").read_bytes()[:136]
    (last,), (copied,) = struct.unpack_from("=I", header, 16), struct.unpack_from("=I", header, 128)
    return (LOG_HEAD + min(copied, last) * (FRAME_HEAD + PAGE), LOG_HEAD + last * (FRAME_HEAD + PAGE))


def cut(log: Path, part: tuple[int, int], dice: random.Random) -> None:
    """Remove a random part of the end of the log."""
    os.truncate(log, dice.randint(*part))


def scribble(log: Path, part: tuple[int, int], dice: random.Random) -> None:
    """Overwrite up to one page of the log with random bytes."""
    at = dice.randint(*part)
    with log.open("r+b") as file:
        file.seek(at)
        file.write(dice.randbytes(min(PAGE, part[1] - at)))


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
                part = open_part(path)
                lines = heard.read_bytes().split(b"\n")[:-1]
                for outcome, damage in ((whole, None), (torn, cut), (scribbled, scribble)):
                    folder = work / "copy"
                    folder.mkdir()
                    for end in ("", "-wal"):
                        if Path(f"{path}{end}").exists():
                            shutil.copyfile(f"{path}{end}", folder / f"faq.db{end}")
                    if damage is not None:
                        damage(folder / "faq.db-wal", part, dice)
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
