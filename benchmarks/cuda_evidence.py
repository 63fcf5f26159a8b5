"""Methods × sets × draws on one GPU at once, and their evidence in one report.

    python benchmarks/cuda_evidence.py make RUN OUT [--budget SECONDS] [--device cuda] [--methods gptq-4,spqr-4,…]
    python benchmarks/cuda_evidence.py merge RUN parts.tar

`make` takes a run whose sets are assembled (`faq-tui run RUN --until assemble`, with `evaluate.repeats`) and
quantizes and evaluates each method on each set in a process of its own: a small model keeps no GPU busy alone. The
seconds it measures are those of a shared GPU. The first part draws the held-out answers for all, so that every
artefact is measured on the same items. What comes back are databases and manifests, no weights.
`merge` puts the parts' rows into RUN, wherever it is, and writes its report.
"""

from __future__ import annotations

import argparse
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
from faq_tui.core.report.write import write
from faq_tui.core.run import open_run

METHODS = "w8a8-8,gptq-4,gptaq-4,spqr-4"
SETS = "baseline;self,self-tokens;baseline-tokens"  # a process each; the two of one process share what is equal
BROUGHT = ("artefacts", "measurements", "heldout_answers", "heldout_items")


def recipes(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every recipe of the grid, as faq.toml holds it."""
    sets = options.sets.replace(";", ",").split(",")
    return [recipe(name, options.group, sets) for name in options.methods.split(",")]


class Part:
    """One process: one recipe on some sets in all their draws, in a copy of the run."""

    def __init__(self, run: Path, work: Path, name: str, sets: list[str], group: int, device: str) -> None:
        self.folder = work / f"{name}-{sets[0]}"
        shutil.copytree(run, self.folder, ignore=shutil.ignore_patterns("models", "jobs", "reports"))
        write_settings(self.folder, [recipe(name, group, sets)], device)
        self.log = (work / f"{self.folder.name}.log").open("wb")
        self.child: subprocess.Popen[bytes] | None = None

    def start(self, stage: str) -> None:
        command = [sys.executable, "-m", "faq_tui", "run", str(self.folder), "--until", stage]
        self.child = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def ended(self) -> bool:
        return self.child is not None and self.child.poll() is not None


def make(options: argparse.Namespace) -> None:
    end = time.monotonic() + options.budget
    work = Path(tempfile.mkdtemp(prefix="faq-evidence-"))
    pairs = [(name, some.split(",")) for name in options.methods.split(",") for some in options.sets.split(";")]
    parts = [Part(options.run, work, name, sets, options.group, options.device) for name, sets in pairs]
    first = parts[0]
    for part in parts:
        part.start("quantize")
        time.sleep(options.stagger)
    evaluating: set[str] = set()
    while time.monotonic() < end and not all(p.folder.name in evaluating and p.ended() for p in parts):
        ready = first.folder.name in evaluating and first.ended()
        for part in parts:
            if part.folder.name not in evaluating and part.ended() and (part is first or ready):
                if part is not first:
                    bring(first.folder / "faq.db", part.folder / "faq.db", ("heldout_answers",))
                evaluating.add(part.folder.name)
                part.start("evaluate")
        time.sleep(0.5)
    for part in parts:
        if not part.ended() and part.child is not None:
            part.child.terminate()
        if part.child is not None:
            part.child.wait(20)
        done = part.folder.name in evaluating and part.child is not None and part.child.returncode == 0
        print(f"{part.folder.name}: {'done' if done else 'not finished'}", flush=True)
    with tarfile.open(options.out / "parts.tar", "w:gz") as packed:
        for part in parts:
            for path in (part.folder / "faq.db", *part.folder.glob("models/*/faq_manifest.json")):
                packed.add(path, path.relative_to(work))
            packed.add(work / f"{part.folder.name}.log", f"{part.folder.name}.log")
    shutil.rmtree(work, ignore_errors=True)


def bring(source: Path, to: Path, tables: tuple[str, ...]) -> None:
    """The rows of `tables`, from one database into another of the same schema."""
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
        for found in sorted(Path(folder).glob("*/faq.db")):
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
    parser.add_argument("out", type=Path, help="make: a folder; merge: parts.tar")
    parser.add_argument("--methods", default=METHODS, help="in all draws, on every set")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--budget", type=float, default=480.0)
    parser.add_argument("--stagger", type=float, default=1.0)
    options = parser.parse_args()
    {"make": make, "merge": merge}[options.what](options)


if __name__ == "__main__":
    main()
