"""Let the disk become full, read-only or limited in every stage of a run, then make room and continue.

    python benchmarks/reliability/disk.py [--rooms 3] [--stages seeds …] [--out FILE]

The program needs the right to mount a tmpfs. For each stage, a run that is finished up to the stage before is copied
onto a small tmpfs. The room that is left is nothing, a third, or two thirds of what the stage needs. The command must
end with exit code 1 and one sentence about the full disk, without a traceback, and `status` must end with 0. Then the
tmpfs gets larger, and the same command must finish the stage with the files and rows of an undisturbed run
(`run_contents.py`).

The same is done with a limit on the size of a file (RLIMIT_FSIZE, which fails with EFBIG as a quota does with EDQUOT)
and with a file system that is mounted read-only.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from kills import STAGES, behaviour_of, make  # noqa: E402
from machine import about, load, publish, table  # noqa: E402
from run_contents import contents  # noqa: E402

from tests.support.fake_server import FakeServer  # noqa: E402
from tests.support.shell import environment  # noqa: E402
from tests.support.tiny import make_tiny_model  # noqa: E402

BLOCK = 1 << 12
WORDS = "no space left"


@dataclass
class Ended:
    code: int
    err: str

    @property
    def sentence(self) -> str:
        lines = [line for line in self.err.splitlines() if line.startswith("faq-tui: ")]
        return lines[-1].removeprefix("faq-tui: ") if lines else ""

    @property
    def is_clear(self) -> bool:
        return "Traceback" not in self.err and bool(self.sentence)


def command(*arguments: str | Path, limit_kb: int = 0) -> Ended:
    call = [sys.executable, "-m", "faq_tui", *map(str, arguments)]
    if limit_kb:
        call = ["bash", "-c", f'ulimit -f {limit_kb}; exec "$@"', "bash", *call]
    done = subprocess.run(call, capture_output=True, text=True, errors="replace", env=environment(), timeout=600)
    return Ended(done.returncode, done.stderr)


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def size_of(folder: Path) -> int:
    """The bytes that the files take on a tmpfs, with one block for each file and folder."""
    return sum(
        BLOCK + (-(-path.lstat().st_size // BLOCK) * BLOCK if path.is_file() else 0) for path in folder.rglob("*")
    )


def problem_of(full: Ended, words: str) -> str:
    """What is wrong with the end of a command on a full disk; "" if nothing is."""
    if full.code == 0 or (full.code == 1 and full.is_clear and words in full.sentence):
        return ""
    return f"exit {full.code}: {full.sentence or full.err[-300:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rooms", type=int, default=3, help="amounts of room to try in each stage")
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    loaded, began, rows, failures = load(), time.monotonic(), [], 0
    with tempfile.TemporaryDirectory(prefix="faq-tui-disk-") as name, FakeServer(behaviour_of(0)) as server:
        work = Path(name)
        whole = make(work / "whole", make_tiny_model(work / "model"), server.url)
        shutil.copytree(whole, work / "before-seeds")
        pairs = list(zip(STAGES, [*STAGES[1:], "end"], strict=True))
        for stage, after in pairs[: max(map(STAGES.index, options.stages)) + 1]:
            done = command("run", whole, "--until", stage)
            assert done.code == 0, done.err
            shutil.copytree(whole, work / f"before-{after}")
        for stage, after in pairs:
            if stage not in options.stages:
                continue
            expected = contents(work / f"before-{after}")
            early = clear = continued = equal = 0
            snapshot = work / f"before-{stage}"
            start, need = size_of(snapshot), size_of(work / f"before-{after}") - size_of(snapshot)
            cases = [("tmpfs", room * need // options.rooms) for room in range(options.rooms)]
            cases += [("limit", 0), ("read-only", 0)]
            for kind, room in cases:
                problem, ended, ok, same = one_case(work, snapshot, stage, kind, start + room, expected)
                early, clear, continued, equal = early + ended, clear + (not problem), continued + ok, equal + same
                if problem or not same:
                    failures += 1
                    print(f"{stage}, {kind}, {room} bytes of room: {problem or 'differs'}", file=sys.stderr)
            rows.append([stage, *(str(n) for n in (len(cases), early, clear, continued, equal))])
            print(rows[-1], file=sys.stderr, flush=True)
    head = ["stage", "cases", "ended early", "one sentence", "continued", "equal at the end"]
    note = f"load {loaded:.1f} before, {load():.1f} after; {time.monotonic() - began:.0f} s"
    body = f"{table(head, rows)}\n\n{note}"
    publish("A disk that is full, limited or read-only", about("faq-tui"), body, options.out)
    sys.exit(failures > 0)


def one_case(
    work: Path, snapshot: Path, stage: str, kind: str, size: int, expected: dict[str, str]
) -> tuple[str, bool, bool, bool]:
    """Returns what was wrong, whether the command ended early, whether the next one finished, and equality."""
    place = work / "disk"
    with small_disk(place, size if kind == "tmpfs" else 1 << 30):
        if kind == "tmpfs":
            remount(place, f"size={max(size, size_of(snapshot))}")
        folder = place / "run"
        shutil.copytree(snapshot, folder)
        if kind == "read-only":
            remount(place, "ro")
            full, words = command("run", folder, "--until", stage), "read-only"
        else:
            full, words = command("run", folder, "--until", stage, limit_kb=40 if kind == "limit" else 0), WORDS
        problem, early = problem_of(full, words), full.code != 0
        shown = command("status", folder)
        if shown.code != 0:
            problem = f"{problem}; status: exit {shown.code}: {shown.sentence or shown.err[-300:]}"
        remount(place, "rw,size=1g")
        again = command("run", folder, "--until", stage)
        if again.code != 0:
            return f"{problem}; then exit {again.code}: {again.sentence}", early, False, False
        made = contents(folder)
        if made != expected:
            differing = [name for name in made.keys() | expected.keys() if made.get(name) != expected.get(name)]
            problem = f"{problem}; differing: {sorted(differing)[:4]}"
        return problem, early, True, made == expected


if __name__ == "__main__":
    main()
