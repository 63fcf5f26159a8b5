"""Quantize with all methods, sets and draws, several at a time, and write one report of the evidence.

    python benchmarks/cuda_evidence.py new RUN TARGET SEEDS [--draws 8] [--count 40] [--heldout 64]
    python benchmarks/cuda_evidence.py make RUN OUT [--work FOLDER] [--budget SECONDS] [--device cuda]
                                       [--methods gptq-4@off,gptq-4@0.04,spqr-4@off,…] [--sets baseline-tokens;self]
    python benchmarks/cuda_evidence.py merge RUN parts.tar

`new` writes the settings of a run whose target is its own elder. Besides the default sets, the run has the set `cut`
(answers that are cut to 64 tokens) and the set `seeds` (plain seeds with as many tokens as `cut`). The names of
`--methods` may end in a sink share. Without a share, a method uses its default. A name without a share and the same
name with `@off` have the same artefacts, so give only one of them.

`make` first computes in RUN what all methods need: the sets, the held-out answers, and the measurements of the
unquantized model. No server is needed if the source has `base_url = "local"`. Then `make` starts several processes at
the same time, because one small model does not use a whole GPU. Each process has its own copy of RUN, quantizes with
one method and evaluates the result. The processes share the visible GPUs, so the measured seconds are longer than
usual. If `make` was interrupted, the same command with the same `--work` continues. The output of `make` contains
databases, sets and manifests, but no weights. `merge` copies this output into RUN on any machine, and writes the
report of RUN. `merge` also writes `RUN/reports/shares.md`, which compares all recipes and sets of a method, draw by
draw.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from cuda_table import figures, recipe, write_settings
from machine import table
from selection_table import Change

from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.report.document import document
from faq_tui.core.report.formats import write
from faq_tui.core.run.run import open_run

METHODS = "w8a8-8,gptq-4,gptaq-4,spqr-4"
SETS = "baseline;self,self-tokens;baseline-tokens"  # ";" divides groups; one process quantizes the sets of a group
BROUGHT = ("artefacts", "measurements", "heldout_answers", "heldout_items")
SETTINGS = """
[target]
model = "{target}"
[seeds]
path = "{seeds}"
count = {count}
heldout = {heldout}
[sources.self]
base_url = "local"
model = "target"
reasoning = "off"
concurrency = 256
sampling = {{ temperature = 0.7, max_tokens = 384 }}
[sets.cut]
from = "self"
answers_cut = 64
[sets.seeds]
from = "baseline"
match = {{ tokens = "cut" }}
[evaluate]
repeats = {draws}
last_word = []
multiple_choice = []
"""


def new(options: argparse.Namespace) -> None:
    options.run.mkdir(parents=True)
    keys = {"draws": options.draws, "count": options.count, "heldout": options.heldout}
    text = SETTINGS.format(target=options.out.resolve(), seeds=options.seeds.resolve(), **keys)
    (options.run / "faq.toml").write_text(text, encoding="utf-8")


def recipes(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every recipe of the experiment, as a table of faq.toml."""
    sets = options.sets.replace(";", ",").split(",")
    return [recipe(name, options.group, sets) for name in options.methods.split(",")]


class Part:
    """One process. The process applies one recipe to some sets, in all draws, in a copy of the run."""

    def __init__(self, run: Path, work: Path, name: str, sets: list[str], group: int, device: str, gpu: int) -> None:
        self.folder = work / f"{name.replace('@', '-sink-')}-{sets[0]}"
        if not self.folder.is_dir():
            shutil.copytree(run, self.folder, ignore=shutil.ignore_patterns("models", "jobs", "reports"))
        write_settings(self.folder, [recipe(name, group, sets)], device)
        self.child = faq_tui_run(self.folder, "evaluate", gpu)


def faq_tui_run(folder: Path, until: str, gpu: int = 0) -> subprocess.Popen[bytes]:
    """Start the process on one GPU. The output of the process is appended to a log beside the folder."""
    command = [sys.executable, "-m", "faq_tui", "run", str(folder), "--until", until]
    # If every process had one thread per core, the processes would slow each other down.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": visible_gpus()[gpu]}
    with folder.with_name(f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def visible_gpus() -> list[str]:
    """The names of the GPUs that this process may use, as in CUDA_VISIBLE_DEVICES."""
    import torch

    names = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return names.split(",") if names else [str(number) for number in range(max(1, torch.cuda.device_count()))]


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
    try:
        failed = prepared.wait(max(1.0, end - time.monotonic())) != 0
    except subprocess.TimeoutExpired:
        prepared.terminate()
        sys.exit("the budget ended before the sets were made; the same command with the same --work continues")
    if failed:
        sys.exit((work / "shared.log").read_text(errors="replace")[-3000:])
    print(f"sets, held-out answers and the unquantized model: {time.monotonic() - began:.0f} s", flush=True)
    parts, gpus = list[Part](), len(visible_gpus())
    for some in options.sets.split(";"):
        for name in options.methods.split(","):
            place = len(parts) % gpus
            parts.append(Part(shared, work, name, some.split(","), options.group, options.device, place))
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
    options.out.mkdir(parents=True, exist_ok=True)
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
        shares = by_share(figures(opened))
    (run / "reports" / "shares.md").write_text(shares, encoding="utf-8")
    print((run / "reports" / "report.md").read_text(encoding="utf-8"), shares, sep="\n\n")


ARTEFACT = re.compile(
    r"(?P<method>[a-z0-9]+)(?P<share>-sink[\d.]+)?-(?P<width>w\w+)-(?P<set>[a-z][\w-]*?)(-r(?P<draw>\d+))?$"
)


def by_share(measured: dict[str, dict[str, dict[str, float]]]) -> str:
    """Compare sets with and without a sink share: the mean KL, and its change in percent, paired by draw.

    A set is compared with two baselines: the unweighted baseline, and the baseline with the same sink share. The
    intervals are 95% intervals over the draws.
    """
    found: dict[tuple[str, str], dict[tuple[str, str], dict[int, float]]] = {}
    for name, texts in measured.items():
        if (parsed := ARTEFACT.match(name)) is None:
            continue
        for text, values in texts.items():
            cells = found.setdefault((f"{parsed['method']}-{parsed['width']}", text), {})
            cell = cells.setdefault((parsed["set"], (parsed["share"] or "-off").lstrip("-")), {})
            cell[int(parsed["draw"] or 1)] = values[KL.name]
    lines = []
    for (method, text), cells in sorted(found.items()):
        names = sorted(name for name, _ in cells)
        base = next((name for name in ("baseline-tokens", "baseline") if name in names), names[0])
        for (name, share), kl in sorted(cells.items()):
            same, plain = cells.get((base, share)), cells.get((base, "off"))
            lines.append(
                [
                    *(method, text, name, share, str(len(kl)), f"{statistics.fmean(kl.values()):.4f}"),
                    str(Change.of(kl, plain) if plain and plain is not kl else "–"),
                    str(Change.of(kl, same) if same and same is not kl else "–"),
                ]
            )
    head = ["method", "text", "set", "sink share", "draws", "KL", "against the unweighted baseline"]
    return table([*head, "against the baseline with this share"], lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["new", "make", "merge"])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path, help="new: the target; make: the folder for the output; merge: parts.tar")
    parser.add_argument("seeds", type=Path, nargs="?", help="new: the file of seeds")
    for name, number in (("draws", 8), ("count", 40), ("heldout", 64)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--methods", default=METHODS, help="methods with their bits")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--budget", type=float, default=480.0)
    parser.add_argument("--stagger", type=float, default=1.0)
    parser.add_argument("--work", type=Path, help="folder for the copies of RUN; default: a temporary folder")
    options = parser.parse_args()
    {"new": new, "make": make, "merge": merge}[options.what](options)


if __name__ == "__main__":
    main()
