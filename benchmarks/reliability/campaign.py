"""Give hostile inputs to faq-tui, and report every input that does not end in one sentence and an exit code.

A forked process tries one input after the other. The process makes the same Python calls as the commands. An input is
a fault if it raises an exception that the command `faq-tui` does not turn into a sentence, takes longer than 10 s,
takes more than 1 GB of memory, or ends the process. Each fault is saved as a folder of files, so that it can be tried
again. Some inputs are also given to the real command, in a new process.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from machine import about, publish, table  # noqa: E402

from faq_tui.core.base.errors import ExitCode, FaqError  # noqa: E402

HANG_S = 10.0
MOST_MB = 1024.0  # in addition to the memory before the input

# If an input needs more memory than this, in addition to the libraries, it ends with a MemoryError.
ADDRESS_SPACE = 4 << 30


class Kind(Protocol):
    """One kind of hostile input."""

    def make(self, dice: random.Random) -> dict[str, bytes]:
        """A new input: its files by their names."""

    def attempt(self, files: Mapping[str, bytes]) -> ExitCode | None:
        """Give the input to faq-tui, and return the exit code (None for DONE). Raises what faq-tui raises."""

    def command(self, files: Mapping[str, bytes], folder: Path) -> Sequence[str]:
        """Write the input into `folder`, and return the arguments of the real command."""


@dataclass
class Fault:
    number: int
    what: str  # traceback | hang | memory | process died | exit code
    detail: str


@dataclass
class Outcome:
    tried: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    peak_mb: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0


def code_of(attempt: Callable[[], ExitCode | None] | Callable[[], None]) -> ExitCode:
    """The exit code of `attempt`, as `faq_tui.cli.main` chooses it. Raises exceptions that main does not catch."""
    try:
        return attempt() or ExitCode.DONE
    except FaqError as error:
        return error.exit_code
    except OSError:
        return ExitCode.FAILED


def first_failure(*steps: Callable[[], None]) -> ExitCode:
    """Run all steps, even after one that fails. Returns the exit code of the first step that is not DONE."""
    codes = [code_of(step) for step in steps]
    return next((code for code in codes if code is not ExitCode.DONE), ExitCode.DONE)


def void(_value: object) -> None:
    """Ignore the value of an expression, so that it can be a step of `first_failure`."""


def dice_of(seed: int, number: int) -> random.Random:
    return random.Random(f"{seed} {number}")


def main(title: str, name: str, make_kind: Callable[[Path], Kind], count: int, modules: Sequence[str] = ()) -> None:
    """Parse the command line, try the inputs and print the tables. Exits with 1 if there is a fault."""
    options = argparse.ArgumentParser(description=title)
    options.add_argument("--count", type=int, default=count, help=f"inputs to try  [default: {count}]")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--first", type=int, default=0, help="number of the first input")
    options.add_argument("--seconds", type=float, default=600.0, help="stop after this time")
    options.add_argument("--commands", type=int, default=40, help="number of inputs that the real command also gets")
    options.add_argument("--keep", type=Path, help="folder for the inputs that are faults")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    keep = chosen.keep or Path(tempfile.gettempdir()) / f"faq-tui-faults-{name}"
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    for module in modules:  # imports do not count as part of an input
        __import__(module)
    with tempfile.TemporaryDirectory(prefix="faq-tui-hostile-") as work:
        kind = make_kind(Path(work))
        numbers = range(chosen.first, chosen.first + chosen.count)
        inside = _in_process(kind, chosen.seed, numbers, chosen.seconds, keep)
        steps = max(1, inside.tried // max(1, chosen.commands))
        sample = list(range(chosen.first, chosen.first + inside.tried, steps))[: chosen.commands]
        outside = _by_command(kind, chosen.seed, sample, chosen.seconds, keep)
    body = _tables(inside, outside)
    call = f"`python benchmarks/reliability/{name}.py --count {chosen.count} --seed {chosen.seed}`"
    publish(title, f"{about('faq-tui')}\n\n{call}", body, chosen.out)
    faults = inside.faults + outside.faults
    if faults:
        print(f"{len(faults)} faults are kept in {keep}")
        sys.exit(1)


def _in_process(kind: Kind, seed: int, numbers: range, seconds: float, keep: Path) -> Outcome:
    outcome, began, number = Outcome(), time.monotonic(), numbers.start
    context = multiprocessing.get_context("fork")
    while number < numbers.stop and time.monotonic() - began < seconds:
        here, there = context.Pipe()
        with tempfile.NamedTemporaryFile() as stack:
            left = range(number, numbers.stop)
            process = context.Process(target=_child, args=(kind, seed, left, there, stack.name))
            process.start()
            there.close()
            number = _watch(kind, here, process, outcome, Path(stack.name), number, began + seconds, (seed, keep))
    outcome.seconds = time.monotonic() - began
    return outcome


def _watch(
    kind: Kind,
    pipe: Connection,
    process: Any,
    outcome: Outcome,
    stack: Path,
    number: int,
    until: float,
    saving: tuple[int, Path],
) -> int:
    """Read the results of one child process. Returns the number of the next input."""
    seed, keep = saving

    def fault(what: str, detail: str) -> None:
        outcome.faults.append(Fault(number, what, detail))
        _save(keep, kind, seed, number, what, detail)

    while True:
        what, detail = "", ""
        try:
            if not pipe.poll(HANG_S + 1):
                os.kill(process.pid, 10)  # on SIGUSR1, the child writes its traceback
                time.sleep(0.3)
                what, detail = "hang", stack.read_text(errors="replace")[-3000:]
            else:
                message = pipe.recv()
        except EOFError:
            process.join()
            what, detail = "process died", f"exit status {process.exitcode}"
        if what:
            process.kill()
            process.join()
            outcome.tried += 1
            outcome.codes[what] += 1
            fault(what, detail)
            return number + 1
        if message is None:
            process.join()
            return number
        code, took, mb, problem = message
        outcome.tried += 1
        outcome.codes[code] += 1
        outcome.slowest, outcome.peak_mb = max(outcome.slowest, took), max(outcome.peak_mb, mb)
        if problem:
            fault("traceback", problem)
        elif took > HANG_S:
            fault("hang", f"{took:.1f} s")
        elif mb > MOST_MB:
            fault("memory", f"{mb:.0f} MB")
        number += 1
        if time.monotonic() > until:
            process.kill()
            process.join()
            return 1 << 62


def _child(kind: Kind, seed: int, numbers: range, pipe: Connection, stack: str) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    with Path(stack).open("w") as file:
        faulthandler.register(10, file, all_threads=True)
        most = int(_memory("VmSize")) * 2**20 + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
        for number in numbers:
            files = kind.make(dice_of(seed, number))
            before = _memory("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # reset the recorded peak of the memory
            began, problem = time.monotonic(), ""
            try:
                code = code_of(lambda: kind.attempt(files)).name  # noqa: B023  called at once
            except BaseException:  # noqa: BLE001  every exception here would be a traceback
                code, problem = "traceback", traceback.format_exc()[-6000:]
            pipe.send((code, time.monotonic() - began, max(0.0, _memory("VmHWM") - before), problem))
        pipe.send(None)


def _memory(name: str) -> float:
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")) / 1024


def _by_command(kind: Kind, seed: int, numbers: Sequence[int], seconds: float, keep: Path) -> Outcome:
    outcome, began = Outcome(), time.monotonic()
    for number in numbers:
        if time.monotonic() - began > seconds:
            break
        files = kind.make(dice_of(seed, number))
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "faq_tui", *kind.command(files, Path(folder))]
            start, problem, out = time.monotonic(), "", ""
            try:
                done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, stdin=subprocess.DEVNULL)
                out = (done.stdout + done.stderr).decode(errors="replace")
                names = {int(one): one.name for one in ExitCode}
                code = names.get(done.returncode, f"exit status {done.returncode}")
                if "Traceback" in out:
                    problem = "traceback"
                elif done.returncode not in names:
                    problem = "exit code"
            except subprocess.TimeoutExpired:
                code = problem = "hang"
        took = time.monotonic() - start
        outcome.tried += 1
        outcome.codes[code] += 1
        outcome.slowest = max(outcome.slowest, took)
        outcome.peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        if problem:
            outcome.faults.append(Fault(number, problem, out[-3000:]))
            _save(keep, kind, seed, number, problem, out[-6000:])
    outcome.seconds = time.monotonic() - began
    return outcome


def _save(keep: Path, kind: Kind, seed: int, number: int, what: str, detail: str) -> None:
    folder = keep / f"{seed}-{number}"
    for name, data in kind.make(dice_of(seed, number)).items():
        path = folder / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fault.txt").write_text(f"{what}\n{detail}\n", encoding="utf-8", errors="replace")
    (folder / "repeat.json").write_text(json.dumps({"seed": seed, "first": number, "count": 1}))


def _tables(inside: Outcome, outside: Outcome) -> str:
    codes = sorted({*inside.codes, *outside.codes}, key=lambda name: (name not in ExitCode.__members__, name))
    head = ["", "inputs", *codes, "slowest, s", "peak, MB", "faults", "seconds"]
    rows = [
        [
            name,
            f"{one.tried:,}",
            *(f"{one.codes[code]:,}" for code in codes),
            f"{one.slowest:.1f}",
            f"{one.peak_mb:.0f}",
            str(len(one.faults)),
            f"{one.seconds:.0f}",
        ]
        for name, one in (("in process", inside), ("real command", outside))
    ]
    text = table(head, rows)
    kinds = Counter((one.what, _last_line(one.detail)) for one in inside.faults + outside.faults)
    if kinds:
        listed = [[what, last, str(number)] for (what, last), number in kinds.most_common(40)]
        text += "\n\n" + table(["fault", "last line", "inputs"], listed)
    return text


def _last_line(detail: str) -> str:
    """The last line of a traceback, with the faulty line of faq-tui; equal faults are counted by this text."""
    lines = [line.strip() for line in detail.strip().splitlines()]
    place = next((line for line in reversed(lines) if "faq_tui/" in line), "")
    where = place.rpartition("faq_tui/")[2].replace('", line ', ":").partition(",")[0] if place else ""
    last = next((line for line in reversed(lines) if line), "")
    return f"{last[:90]} ({where})".replace("|", "¦")
