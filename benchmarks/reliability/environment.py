"""Try commands in unusual and damaged environments, and show how each one ends.

    python benchmarks/reliability/environment.py [--only WORD] [--out FILE]

Each case must end with the expected exit code, without a traceback, and with at most one sentence that begins with
"faq-tui:". After each case, the rows of the run are compared with those before it. The cases with another clock need
libfaketime, and those with a read-only disk need the right to mount. The table names the cases that cannot be tried.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from disk import Ended, remount, small_disk  # noqa: E402
from kills import behaviour_of  # noqa: E402
from machine import about, load, publish, table  # noqa: E402
from run_contents import rows_of  # noqa: E402

from tests.support.fake_server import FakeServer  # noqa: E402
from tests.support.shell import environment, make_run  # noqa: E402

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
ODD_NAMES = (
    "with space",
    "line\nbreak",
    "ünïcödé 模型",
    "50%done",
    "what?",
    "a#b",
    "quote'\"",
    "-dash",
    "$HOME",
    "~",
)
NOBODY = 54321  # a user id that the list of users does not name


def faq_tui(
    *arguments: str | Path, prefix: tuple[str, ...] = (), env: Mapping[str, str] = MappingProxyType({})
) -> Ended:
    call = [*prefix, sys.executable, "-m", "faq_tui", *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, errors="replace", env=environment(**env), timeout=600)
    return Ended(done.returncode, done.stderr)


@dataclass
class Bench:
    """A finished regeneration in `run`, which each case gets as a new copy."""

    work: Path
    original: Path
    server: FakeServer

    def copy(self, name: str = "run") -> Path:
        folder = self.work / "case" / name
        shutil.rmtree(self.work / "case", ignore_errors=True)
        folder.parent.mkdir(parents=True)
        return Path(shutil.copytree(self.original, folder, symlinks=True))


class CannotTryError(Exception):
    """This machine lacks what the case needs."""


Case = tuple[str, int, Callable[[Bench], Ended]]


def forget_candidates(folder: Path) -> None:
    """Let the next command request all candidates again."""
    with closing(sqlite3.connect(folder / "faq.db", isolation_level=None)) as db:
        db.execute("DELETE FROM candidates")
        db.execute("DELETE FROM stages WHERE stage = 'regenerate'")


def odd_name(name: str) -> Case:
    def case(bench: Bench) -> Ended:
        return faq_tui("run", bench.copy(name), "--until", "regenerate")

    return f"the run's folder is named {name!r}", 0, case


def through_a_link(bench: Bench) -> Ended:
    folder = bench.copy("real")
    (folder.parent / "link").symlink_to(folder)
    return faq_tui("run", folder.parent / "link", "--until", "regenerate")


def linked_seeds(bench: Bench) -> Ended:
    folder = bench.copy()
    shutil.move(folder / "seeds.jsonl", folder.parent / "elsewhere.jsonl")
    (folder / "seeds.jsonl").symlink_to(folder.parent / "elsewhere.jsonl")
    return faq_tui("run", folder, "--until", "regenerate")


def link_in_a_circle(bench: Bench) -> Ended:
    folder = bench.copy()
    (folder / "seeds.jsonl").unlink()
    (folder / "seeds.jsonl").symlink_to("seeds.jsonl")
    return faq_tui("run", folder, "--until", "regenerate")


def moved(bench: Bench) -> Ended:
    folder = bench.copy()
    new = folder.rename(folder.with_name("moved"))
    return faq_tui("run", new, "--until", "regenerate")


def without_home(bench: Bench) -> Ended:
    folder = bench.copy()
    prefix = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "env", "-u", "HOME")
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        raise CannotTryError
    return faq_tui("run", folder, "--until", "regenerate", prefix=prefix)


def unwritable_cache(bench: Bench) -> Ended:
    cache = bench.work / "no-folder"
    cache.write_text("a file, so no folder can be made here")
    places = {"XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": str(cache), "XDG_CONFIG_HOME": str(cache)}
    return faq_tui("run", bench.copy(), "--until", "regenerate", env={**places, "HF_HOME": str(cache / "hf")})


def unwritable_temporary_folder(bench: Bench) -> Ended:
    return faq_tui("run", bench.copy(), "--until", "regenerate", env={"TMPDIR": str(bench.work / "missing")})


def ascii_locale(bench: Bench) -> Ended:
    return faq_tui(
        "status", bench.copy("ünïcödé"), env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    )


def locked_by_another(bench: Bench) -> Ended:
    folder = bench.copy()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()} other")
        lock.flush()
        return faq_tui("run", folder, "--until", "regenerate")


def two_runs(bench: Bench) -> Ended:
    """Two commands start at the same time on one run. One of them must be refused, and names the other."""
    folder = bench.copy()
    forget_candidates(folder)
    call = [sys.executable, "-m", "faq_tui", "run", str(folder), "--until", "regenerate"]
    both = [subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env=environment()) for _ in range(2)]
    ends = sorted((Ended(one.wait(600), one.communicate()[1]) for one in both), key=lambda end: end.code)
    return ends[1] if ends[0].code == 0 else Ended(99, f"both failed: {ends}")


def status_beside_a_run(bench: Bench) -> Ended:
    folder = bench.copy()
    forget_candidates(folder)
    call = [sys.executable, "-m", "faq_tui", "run", str(folder), "--until", "regenerate"]
    with subprocess.Popen(call, stderr=subprocess.DEVNULL, env=environment()) as running:
        shown = Ended(0, "")
        while running.poll() is None and shown.code == 0:
            shown = faq_tui("status", folder)
    return shown if shown.code else Ended(running.returncode, "")


def deleted_while_open(bench: Bench) -> Ended:
    folder = bench.copy()
    forget_candidates(folder)
    call = [sys.executable, "-m", "faq_tui", "run", str(folder), "--until", "regenerate"]
    running = subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env=environment())
    before = bench.server.stats().asked.total()
    while bench.server.stats().asked.total() == before and running.poll() is None:
        time.sleep(0.02)
    shutil.rmtree(folder)
    return Ended(running.wait(600), running.communicate()[1])


def newer_database(bench: Bench) -> Ended:
    folder = bench.copy()
    with closing(sqlite3.connect(folder / "faq.db", isolation_level=None)) as db:
        db.execute("INSERT INTO migrations VALUES ('9999_from_the_future', 0)")
    return faq_tui("status", folder)


def damaged_page(bench: Bench) -> Ended:
    folder = bench.copy()
    with (folder / "faq.db").open("r+b") as file:
        for page in range(2, os.fstat(file.fileno()).st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    return faq_tui("status", folder)


def no_database(bench: Bench) -> Ended:
    folder = bench.copy()
    (folder / "faq.db").write_bytes(b"this is no database, but a text of some length\n" * 100)
    return faq_tui("status", folder)


def truncated_log(bench: Bench) -> Ended:
    folder = bench.copy()
    with closing(sqlite3.connect(folder / "faq.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE stages SET message = message || '.'")
        parts = {end: (folder / f"faq.db{end}").read_bytes() for end in ("", "-wal")}
    for end, data in parts.items():
        (folder / f"faq.db{end}").write_bytes(data[: len(data) // 2] if end else data)
    (folder / "faq.db-shm").unlink(missing_ok=True)
    return faq_tui("status", folder)


def read_only(arguments: tuple[str, ...]) -> Callable[[Bench], Ended]:
    def case(bench: Bench) -> Ended:
        folder, place = bench.copy(), bench.work / "disk"
        with small_disk(place, 1 << 26):
            shutil.copytree(folder, place / "run")
            remount(place, "ro")
            return faq_tui(arguments[0], place / "run", *arguments[1:])

    return case


def clock(first: str, then: str) -> Callable[[Bench], Ended]:
    """One command at the time `first`, and a second one at the time `then`."""

    def case(bench: Bench) -> Ended:
        if not FAKETIME.exists():
            raise CannotTryError
        folder = bench.copy()
        forget_candidates(folder)
        for at in (first, then):
            fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": at, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            done = faq_tui("run", folder, "--until", "regenerate", env=fake)
            if done.code:
                return done
        return faq_tui("status", folder)

    return case


CASES: list[Case] = [
    *map(odd_name, ODD_NAMES),
    ("the folder is reached through a link", 0, through_a_link),
    ("the seed file is a link", 0, linked_seeds),
    ("the seed file is a link to itself", 2, link_in_a_circle),
    ("the run was moved while it was closed", 0, moved),
    ("no $HOME, and a user that the system does not know", 2, without_home),
    ("cache, state and configuration cannot be written", 0, unwritable_cache),
    ("$TMPDIR is missing", 0, unwritable_temporary_folder),
    ("the locale is C", 0, ascii_locale),
    ("another process holds the lock", 1, locked_by_another),
    ("two commands start at once", 1, two_runs),
    ("`status` again and again beside a run", 0, status_beside_a_run),
    ("the folder is deleted while a run works in it", 1, deleted_while_open),
    ("the database is of a newer version", 2, newer_database),
    ("all pages but two of the database are damaged", 2, damaged_page),
    ("faq.db is a text", 2, no_database),
    ("the write-ahead log is cut in half", 0, truncated_log),
    ("read-only disk: status", 0, read_only(("status",))),
    ("read-only disk: report, nothing is measured yet", 2, read_only(("report",))),
    ("read-only disk: run", 1, read_only(("run", "--until", "regenerate"))),
    ("read-only disk: pick", 1, read_only(("pick", "q1", "1"))),
    ("the clock jumps back by a year", 0, clock("2027-01-01 00:00:00", "2026-01-01 00:00:00")),
    ("the clock jumps ahead by ten years", 0, clock("2026-01-01 00:00:00", "2036-01-01 00:00:00")),
    ("the clock stands before 1970", 0, clock("1969-12-31 23:00:00", "2026-01-01 00:00:00")),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="only cases whose title contains this word")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    loaded, began, rows, failures = load(), time.monotonic(), [], 0
    with tempfile.TemporaryDirectory(prefix="faq-tui-places-") as name, FakeServer(behaviour_of(0)) as server:
        work = Path(name)
        original = make_run(work / "original", server.url, seeds=4, source="candidates = 1")
        made = faq_tui("run", original, "--only", "seeds")
        made = faq_tui("run", original, "--until", "regenerate") if made.code == 0 else made
        before = rows_of(original)
        for title, expected, case in CASES:
            if options.only not in title:
                continue
            try:
                ended = case(Bench(work, original, server))
            except CannotTryError:
                rows.append([title, "not tried here", "", ""])
                continue
            kept = "" if not (folder := work / "case" / "run").exists() else lost(folder, before)
            fine = ended.code == expected and "Traceback" not in ended.err and (ended.code == 0 or ended.sentence)
            failures += not fine or bool(kept)
            said = ended.sentence.replace(str(work), "…").replace("|", "/")[:160] if ended.code else ""
            rows.append([title.replace("\n", "\\n"), f"{ended.code}{'' if fine else ' WRONG'}", kept, said])
            print(rows[-1], "" if fine else ended.err[-1500:], file=sys.stderr, flush=True)
    note = f"load {loaded:.1f} before, {load():.1f} after; {time.monotonic() - began:.0f} s"
    body = f"{table(['case', 'exit code', 'lost', 'sentence'], rows)}\n\n{note}"
    publish("Unusual and damaged environments", about("faq-tui"), body, options.out)
    sys.exit(failures > 0)


def lost(folder: Path, before: dict[str, set[str]]) -> str:
    """The tables that lack rows of the run. A damaged database is not compared."""
    try:
        now = rows_of(folder)
    except sqlite3.DatabaseError:
        return ""
    names = [name for name in ("seeds", "candidates") if before.get(name, set()) - now.get(name, set())]
    return ", ".join(names)


if __name__ == "__main__":
    main()
