"""Measure the time from `exec` to the first complete screen of `faq-tui RUN`, harlequin and posting.

`python benchmarks/first_paint.py RUN [--venvs DIR] [--runs N] [--size 120x36] [--out FILE]`. The
three programs take turns. DIR has a venv for each of the other two programs: `DIR/harlequin` and `DIR/posting`.
Missing programs are installed first. The measurement fails if the process of faq-tui has loaded torch.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from machine import about, load, publish, spread, table
from on_pty import OnPty
from replayed import Lines, Replay
from workload import environment

# The packages to install. posting 2.11.1 crashes with the newest tree-sitter (segmentation fault).
REQUIREMENTS = {"harlequin": ["harlequin"], "posting": ["posting", "tree-sitter<0.26"]}
OWN_WORDS = ("Seeds", "Regenerate", "Nothing is running", "Quit")
PATIENCE_S = 30.0
SETTLE_S = 1.0  # wait in seconds after the complete screen, so that a later import of torch is also found


@dataclass
class App:
    """A program to measure. `shows` has words from the top, the middle and the bottom of the program's first
    screen."""

    name: str
    command: Sequence[str | Path]
    shows: tuple[str, ...]
    version: str = ""
    missing: str = ""  # the reason why the program is not measured; "" if it is measured
    first: list[float] = field(default_factory=list)  # seconds to the first text
    whole: list[float] = field(default_factory=list)  # seconds until all words of `shows` are visible
    loads: list[float] = field(default_factory=list)


def installed(name: str, place: Path, shows: tuple[str, ...], *arguments: str) -> App:
    """The program from its venv. The venv is created if it is missing."""
    command = place / name / "bin" / name
    if not command.exists():
        venv.create(place / name, with_pip=True, clear=True)
        subprocess.run(
            [place / name / "bin/pip", "install", "--quiet", "--no-input", *REQUIREMENTS[name]], check=False
        )
    if not command.exists():
        return App(name, [], shows, missing="could not be installed")
    python = place / name / "bin/python"
    ask = f"from importlib.metadata import version as v; print(v({name!r}), 'on textual', v('textual'))"
    found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout
    return App(name, [command, *arguments], shows, version=found.strip())


def open_once(app: App, size: tuple[int, int], home: Path, counted: bool) -> None:
    """Open the program and measure it. Raises RuntimeError if the screen does not appear, or if torch is loaded."""

    def any_text(lines: Lines) -> bool:
        return any(line.strip() for line in lines)

    def whole(lines: Lines) -> bool:
        text = "\n".join(lines)
        return all(words in text for words in app.shows)

    now = load()
    with OnPty(app.command, size, {**environment(home), "HOME": str(home)}, cwd=home) as terminal:
        replay = Replay(terminal.chunks, size)
        first = seen = None
        deadline = terminal.began + PATIENCE_S
        while seen is None:
            if time.perf_counter() > deadline or terminal.is_over():
                raise RuntimeError(f"{app.name} shows no {app.shows}:\n" + "\n".join(replay.lines()))
            terminal.read(0.05)
            if first is None:
                first = Replay(terminal.chunks, size).first(any_text, deadline)
            seen = replay.first(whole, deadline)
        assert first is not None
        if app.name == "faq-tui":
            until = time.perf_counter() + SETTLE_S
            while (left := until - time.perf_counter()) > 0:
                terminal.read(left)
            if "libtorch" in terminal.maps():
                raise RuntimeError(f"torch is loaded in the app's process {terminal.pid}")
        if counted:
            app.first.append(first - terminal.began)
            app.whole.append(seen - terminal.began)
            app.loads.append(now)


def row_of(app: App, own: App) -> tuple[str, ...]:
    if app.missing:
        return (app.name, app.missing, "", "", "", "")
    return (
        app.name,
        app.version,
        spread(app.first, " s"),
        spread(app.whole, " s"),
        f"{statistics.median(app.whole) / statistics.median(own.whole):.2f}",
        f"{min(app.loads):.1f}–{max(app.loads):.1f}",
    )


def seeds_in(run: Path) -> tuple[int, str]:
    """The number of seeds, and the beginning of the first seed. The first row of the first pane shows this text."""
    with closing(sqlite3.connect(run / "faq.db")) as database:
        count = database.execute("SELECT count(*) FROM seeds").fetchone()[0]
        messages = database.execute("SELECT messages FROM seeds ORDER BY position LIMIT 1").fetchone()[0]
    return int(count), str(json.loads(messages)[-1]["content"])[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--venvs", type=Path, default=Path(tempfile.gettempdir()) / "faq-first-paint")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--size", default="120x36", help="columns x rows (default %(default)s)")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    asked = parser.parse_args()
    columns, rows = map(int, asked.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="faq-paint-") as folder:
        home = Path(folder)
        run = home / "run"
        shutil.copytree(asked.run, run, ignore=shutil.ignore_patterns("*.safetensors", ".lock"))
        seeds, question = seeds_in(run)
        own = App(
            "faq-tui",
            [Path(sys.executable).parent / "faq-tui", run],
            (*OWN_WORDS, question),
            f"{version('faq-tui')} on textual {version('textual')}",
        )
        apps = [
            own,
            installed("harlequin", asked.venvs, ("Data Catalog", "Query Editor", "memory", "Quit")),
            installed("posting", asked.venvs, ("Collection", "Request", "Response", "Quit")),
        ]
        for number in range(asked.runs + 1):  # the first run fills the caches and is not counted
            for app in apps:
                if not app.missing:
                    open_once(app, (columns, rows), home, counted=number > 0)
    title = f"From exec to the first complete screen, {columns}×{rows}, {asked.runs} runs of each program in turn"
    head = ("app", "version", "first text", "complete screen: median (min–max)", "of faq-tui's", "load")
    body = table(head, [row_of(app, own) for app in apps])
    note = (
        "The first run of each program is not counted, because it fills the caches. "
        "A screen is complete if it shows these words: "
        + "; ".join(f"{app.name} {', '.join(app.shows)}" for app in apps)
        + f". faq-tui opens a finished run of {seeds} seeds. Its process had never loaded libtorch "
        f"{SETTLE_S:.0f} s after the complete screen; otherwise this measurement would have failed."
    )
    publish(title, about("faq-tui", "textual"), f"{body}\n\n{note}", asked.out)


if __name__ == "__main__":
    main()
