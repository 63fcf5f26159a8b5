"""Quantize with all methods, sets and draws on one GPU, several at a time, and write one report of the evidence.

    python benchmarks/cuda_evidence.py make RUN OUT [--work FOLDER] [--budget SECONDS] [--device cuda]
                                       [--methods gptq-4,spqr-4,…]
    python benchmarks/cuda_evidence.py merge RUN parts.tar

`make` first computes in RUN what all methods need: the sets, the held-out answers, and the measurements of the
unquantized model. No server is needed if the source has `base_url = "local"`. Then `make` starts several processes at
the same time, because one small model does not use a whole GPU. Each process has its own copy of RUN, quantizes with
one method and evaluates the result. The processes share the GPU, so the measured seconds are longer than usual. If
`make` was interrupted, the same command with the same `--work` continues. The output of `make` contains databases,
sets and manifests, but no weights. `merge` copies this output into RUN on any machine, and writes the report of RUN.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from cuda_table import recipe, write_settings

from faq_tui.core.report.document import document
from faq_tui.core.report.formats import write
from faq_tui.core.run.run import open_run

METHODS = "w8a8-8,gptq-4,gptaq-4,spqr-4"
SETS = "baseline;self,self-tokens;baseline-tokens"  # ";" divides groups; one process quantizes the sets of a group
BROUGHT = ("artefacts", "measurements", "heldout_answers", "heldout_items")


def recipes(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every recipe of the experiment, as a table of faq.toml."""
    sets = options.sets.replace(";", ",").split(",")
    return [recipe(name, options.group, sets) for name in options.methods.split(",")]


class Part:
    """One process. In a copy of the run, it applies one recipe to some sets, in all draws."""

    def __init__(self, run: Path, work: Path, name: str, sets: list[str], group: int, device: str) -> None:
        self.folder = work / f"{name}-{sets[0]}"
        if not self.folder.is_dir():
            shutil.copytree(run, self.folder, ignore=shutil.ignore_patterns("models", "jobs", "reports"))
        write_settings(self.folder, [recipe(name, group, sets)], device)
        self.child = faq_tui_run(self.folder, "evaluate")


def faq_tui_run(folder: Path, until: str) -> subprocess.Popen[bytes]:
    """Start the process. Its output is appended to a log beside the folder."""
    command = [sys.executable, "-m", "faq_tui", "run", str(folder), "--until", until]
    with folder.with_name(f"{folder.name}.log").open("ab") as log:
        # If every process had one thread per core, the processes would slow each other down.
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def make(options: argparse.Namespace) -> None:
    began = time.monotonic()
    end = began + options.budget
    work: Path = options.work or Path(tempfile.mkdtemp(prefix="faq-evidence-"))
    work.mkdir(parents=True, exist_ok=True)
    shared = work / "shared"
    if not shared.is_dir():
        shutil.copytree(options.run, shared)
    write_settings(shared, [], options.device)
    prepared = faq_tui_run(shared, "evaluate")
    if prepared.wait(max(1.0, end - time.monotonic())):
        sys.exit((work / "shared.log").read_text(errors="replace")[-3000:])
    print(f"sets, held-out answers and the unquantized model: {time.monotonic() - began:.0f} s", flush=True)
    parts = []
    for some in options.sets.split(";"):
        for name in options.methods.split(","):
            parts.append(Part(shared, work, name, some.split(","), options.group, options.device))
            time.sleep(options.stagger)
    waiting = list(parts)
    while waiting and time.monotonic() < end:
        for part in [part for part in waiting if part.child.poll() is not None]:
            waiting.remove(part)
            print(
                f"{time.monotonic() - began:.0f} s: {part.folder.name} ended with {part.child.returncode}", flush=True
            )
        time.sleep(0.5)
    for part in waiting:
        part.child.terminate()
        part.child.wait(20)
        print(f"{part.folder.name}: not finished", flush=True)
    with tarfile.open(options.out / "parts.tar", "w:gz") as packed:
        for folder in (shared, *(part.folder for part in parts)):
            patterns = ("calibration/*.jsonl", "reports/evaluation.json") if folder is shared else ()
            for pattern in ("faq.db", "models/*/faq_manifest.json", *patterns):
                for path in folder.glob(pattern):
                    packed.add(path, path.relative_to(work))
            packed.add(work / f"{folder.name}.log", f"{folder.name}.log")
    if options.work is None:
        shutil.rmtree(work, ignore_errors=True)


def bring(source: Path, to: Path, tables: tuple[str, ...]) -> None:
    """Copy the rows of `tables` from one database into another database with the same schema."""
    db = sqlite3.connect(to, timeout=30.0)
    db.execute("ATTACH ? AS part", (str(source),))
    with db:
        for table in tables:
            db.execute(f"INSERT OR REPLACE INTO main.{table} SELECT * FROM part.{table}")
    db.close()


def merge(options: argparse.Namespace) -> None:
    run: Path = options.run
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(options.out) as packed:
            packed.extractall(folder, filter="data")
        shared = Path(folder) / "shared"
        shutil.copy(shared / "faq.db", run)
        for name in ("calibration", "reports"):
            shutil.copytree(shared / name, run / name, dirs_exist_ok=True)
        for found in sorted(Path(folder).glob("*/faq.db")):
            if found.parent == shared:
                continue
            bring(found, run / "faq.db", BROUGHT)
            for manifest in found.parent.glob("models/*/faq_manifest.json"):
                kept = run / "models" / manifest.parent.name
                kept.mkdir(parents=True, exist_ok=True)
                shutil.copy(manifest, kept)
    write_settings(run, recipes(options), options.device)
    with open_run(run) as opened:
        list(write(opened, document(opened)))
    print((run / "reports" / "report.md").read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["make", "merge"])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path, help="for make: the folder for the output; for merge: the file parts.tar")
    parser.add_argument("--methods", default=METHODS, help="methods with their bits")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--budget", type=float, default=480.0)
    parser.add_argument("--stagger", type=float, default=1.0)
    parser.add_argument("--work", type=Path, help="folder for the copies of RUN; default: a temporary folder")
    options = parser.parse_args()
    {"make": make, "merge": merge}[options.what](options)


if __name__ == "__main__":
    main()
