"""Measure the response time and the cost of the app during 64 streams of 100 tokens/s and a quantization.

`python benchmarks/ui.py [--quick] [--out FILE]` prints a table: the time from a key press to its effect on the
screen, the speed of the generation, and the bytes sent to the terminal. The program needs pyte (`pip install pyte`).
The program ends without input from a person.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from machine import about, load, percentile, publish, table
from on_pty import OnPty
from replayed import Lines, Replay
from workload import FAQ_TUI, STREAMS, TOKENS_PER_S, Quantization, environment, regeneration, server, streamed_tokens

from faq_tui.core.run.job_record import Job

TITLE = f"The app with {STREAMS} streams at {TOKENS_PER_S} tokens/s each and a quantization running"
NOTE = (
    "The pane Regenerate is shown and follows the stream that wrote last. One job runs with and without the app in "
    "turn, and gives both values of tokens/s. If the effect of a key was not seen before the next key, the time "
    "until the next key is used, although the true time is longer. Load: lowest and highest load average of the "
    "machine over one minute, in all rounds. The load includes this program, its child processes and all other "
    "programs."
)
SIZES = ((80, 24), (200, 60))
KEY_EVERY_S = 0.8  # mean pause between keys; each pause is random, so that keys and redraws are not in step
PATIENCE_S = 3.0  # longest wait for the effect of the last key; for other keys, the wait ends with the next key

# A program that only echoes its input: one wake-up, one read and one write. This is the fastest possible program.
ECHO = "import os, tty; tty.setraw(0); os.write(1, b'ready')\nwhile data := os.read(0, 99): os.write(1, data)"


@dataclass(frozen=True)
class Pressed:
    """A key, and a test that recognises its effect among other changes on the screen."""

    kind: str
    key: bytes
    at: float
    shows: Callable[[Lines, Lines], bool]  # screen before, screen now


@dataclass
class Figures:
    """The results for one size of the terminal."""

    latencies: dict[str, list[float]] = field(default_factory=dict)  # ms
    lost: int = 0
    with_app: list[float] = field(default_factory=list)  # tokens/s
    without: list[float] = field(default_factory=list)
    bandwidth: dict[str, list[float]] = field(default_factory=dict)  # kB/s
    cpu: dict[str, list[float]] = field(default_factory=dict)  # share of a core
    loads: dict[str, list[float]] = field(default_factory=dict)

    def note(self, where: dict[str, list[float]], name: str, value: float) -> None:
        where.setdefault(name, []).append(value)


def cursor(lines: Lines) -> str:
    """The selected seed of the queue."""
    found = re.search(r"▸.*?(Question \d+)", "\n".join(lines))
    return found[1] if found else ""


def moved(before: Lines, now: Lines) -> bool:
    return cursor(now) not in ("", cursor(before))


def in_regenerate(lines: Lines) -> bool:
    return any("in flight" in line for line in lines)


def left(_before: Lines, now: Lines) -> bool:
    return not in_regenerate(now)


def came(_before: Lines, now: Lines) -> bool:
    return in_regenerate(now)


class Measuring:
    """Run the app repeatedly on one job."""

    def __init__(self, job: Job, size: tuple[int, int], env: dict[str, str], window: float, keys: int) -> None:
        self.job, self.size, self.env, self.window, self.keys = job, size, env, window, keys
        self.figures = Figures()

    def without_app(self) -> None:
        begin = time.time()
        time.sleep(self.window)
        self._throughput(self.figures.without, begin)
        self.figures.note(self.figures.loads, "without", load())

    def with_app(self) -> None:
        with self._opened() as app:
            began = time.time()
            self._quiet(app, "default")
            self._press_keys(app)
            self._throughput(self.figures.with_app, began)
            self.figures.note(self.figures.loads, "default", load())

    def low_bandwidth(self) -> None:
        with self._opened("--low-bandwidth") as app:
            self._quiet(app, "low")
            self.figures.note(self.figures.loads, "low", load())

    def echo(self) -> None:
        """Send the same keys to a program that only writes them back."""
        with OnPty([sys.executable, "-c", ECHO], self.size, self.env) as program:
            program.wait_for(b"ready")
            for _ in range(self.keys):
                program.read(KEY_EVERY_S * random.uniform(0.25, 0.75))
                seen = len(program.chunks)
                at = program.press(b"j")
                while len(program.chunks) == seen:
                    program.read(0.001)
                self.figures.note(self.figures.latencies, "echo", 1000 * (program.chunks[seen][0] - at))
        self.figures.note(self.figures.loads, "echo", load())

    def _opened(self, *options: str) -> _Opened:
        return _Opened([*FAQ_TUI, self.job.run, *options], self.size, self.env)

    def _throughput(self, into: list[float], begin: float) -> None:
        end = time.time()
        time.sleep(0.5)  # wait until all earlier output is written
        into.append(streamed_tokens(self.job, begin, end) / (end - begin))

    def _quiet(self, app: OnPty, mode: str) -> None:
        """Measure without key presses while the pane follows the generated text."""
        begin, used = time.perf_counter(), app.cpu_seconds()
        _read_for(app, self.window)
        end = time.perf_counter()
        self.figures.note(self.figures.bandwidth, mode, app.bytes_between(begin, end) / (end - begin) / 1000)
        self.figures.note(self.figures.cpu, mode, (app.cpu_seconds() - used) / (end - begin))

    def _press_keys(self, app: OnPty) -> None:
        rounds = [("cursor", b"j", moved), ("cursor", b"k", moved)] * 3 + [("pane", b"1", left), ("pane", b"2", came)]
        pressed: list[Pressed] = []
        for number in range(self.keys):
            kind, key, shows = rounds[number % len(rounds)]
            pressed.append(Pressed(kind, key, app.press(key), shows))
            _read_for(app, KEY_EVERY_S * random.uniform(0.5, 1.5))
        _read_for(app, PATIENCE_S / 2)
        replay = Replay(app.chunks, self.size)
        for one, following in zip(pressed, [*pressed[1:], None], strict=True):
            before = replay.until(one.at)
            end = following.at if following else one.at + PATIENCE_S
            seen = replay.first(partial(one.shows, before), end)
            self.figures.lost += seen is None
            self.figures.note(self.figures.latencies, one.kind, 1000 * ((seen or end) - one.at))


class _Opened(OnPty):
    """Start the app and wait until the pane Regenerate follows the streams."""

    def __enter__(self) -> _Opened:
        super().__enter__()
        try:
            self.wait_for(b"regenerate")
            self.press(b"2")
            self.wait_for(b"in flight")
            self.press(b"a")
            _read_for(self, 3)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self


def _read_for(app: OnPty, seconds: float) -> None:
    until = time.perf_counter() + seconds
    while (left_over := until - time.perf_counter()) > 0:
        app.read(left_over)


def measure(quick: bool, folder: Path) -> dict[tuple[int, int], Figures]:
    env = environment(folder / "home")
    rounds, window, keys = (1, 6.0, 16) if quick else (3, 12.0, 32)
    found = {}
    with (
        Quantization(folder / "quantized", env, layers=40 if quick else 160) as quantization,
        server() as url,
        regeneration(folder / "regenerated", url) as job,
    ):
        layers, began = quantization.layers_done(), time.monotonic()
        for size in SIZES:
            measuring = Measuring(job, size, env, window, keys)
            for number in range(rounds):
                say(f"{size[0]}×{size[1]}: round {number + 1} of {rounds}")
                measuring.without_app()
                measuring.with_app()
            measuring.low_bandwidth()
            measuring.echo()
            found[size] = measuring.figures
        layers = quantization.layers_done() - layers
        say(f"meanwhile {layers} layers were quantized in {time.monotonic() - began:.0f} s")
        if not layers:
            raise RuntimeError("the quantization made no progress, so this measurement is not valid")
    return found


def report(found: dict[tuple[int, int], Figures]) -> str:
    rows = []
    for size, figures in found.items():
        name = f"{size[0]}×{size[1]}"
        rows += [(name, *row) for row in rows_of(figures)]
    return table(("terminal", "figure", "measured", "wanted", "load"), rows)


def rows_of(figures: Figures) -> list[tuple[str, str, str, str]]:
    loads = {name: f"{min(values):.1f}–{max(values):.1f}" for name, values in figures.loads.items()}
    latencies = figures.latencies
    both = latencies["cursor"] + latencies["pane"]
    late = f", {figures.lost} not seen before the next key" if figures.lost else ""
    rows = [
        (f"key to screen, {len(both)} keys", in_ms(both) + late, "p95 < 50 ms", loads["default"]),
        (f"· cursor up and down, {len(latencies['cursor'])} keys", in_ms(latencies["cursor"]), "", loads["default"]),
        (f"· another pane, {len(latencies['pane'])} keys", in_ms(latencies["pane"]), "", loads["default"]),
        ("· a program that only echoes, same load", in_ms(latencies["echo"]), "", loads["echo"]),
    ]
    plain, watched = statistics.mean(figures.without), statistics.mean(figures.with_app)
    offered = STREAMS * TOKENS_PER_S
    rows += [
        ("tokens/s read without the app", f"{several(figures.without)} of {offered} sent", "", loads["without"]),
        ("tokens/s read with the app", f"{several(figures.with_app)} of {offered} sent", "", loads["default"]),
        ("generation with / without the app", f"{watched / plain:.3f}", "≥ 0.97", loads["default"]),
    ]
    for mode, said, wanted in (("default", "to the terminal", "< 30 kB/s"), ("low", "with --low-bandwidth", "")):
        rate = statistics.mean(figures.bandwidth[mode])
        share = statistics.mean(figures.cpu[mode])
        rows.append((said, f"{rate:.1f} kB/s, {share:.0%} of a core", wanted, loads[mode]))
    return rows


def in_ms(values: list[float]) -> str:
    return f"p50 {percentile(values, 50):.0f} ms, p95 {percentile(values, 95):.0f} ms"


def several(values: list[float]) -> str:
    return f"{statistics.mean(values):.0f} ({min(values):.0f}–{max(values):.0f})"


def say(sentence: str) -> None:
    print(f"{sentence} (load {load():.1f})", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: about two minutes")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    asked = parser.parse_args()
    # Raise SystemExit, so that child processes are ended in this case, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="faq-ui-") as folder:
        found = measure(asked.quick, Path(folder))
    publish(TITLE, about("textual", "rich", "gptqmodel", "torch"), f"{report(found)}\n\n{NOTE}", asked.out)


if __name__ == "__main__":
    main()
