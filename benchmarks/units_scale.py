"""Measure what grows with the number of units: database rows, events, time and memory of the job's process.

    python benchmarks/units_scale.py [--units 500 1000 2500 5000] [--out FILE]

Each artefact has a worker that does nothing: it sends the messages of a quantization with two layers, and writes an
empty folder with a manifest. All other parts are real: settings, database, stage `quantize`, events, and the list of
units. Each number of artefacts is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from machine import about, load, publish, table

SETTINGS = """
[target]
model = "target"
device = "cpu"
[seeds]
path = "seeds.txt"
[activations]
enabled = false
[[recipes]]
method = "gptq"
bits = 4
group_size = 128
sets = [{names}]
[quantize]
parallel = 2
[evaluate]
perplexity = ["seeds.txt"]
"""


def make_run(folder: Path, units: int) -> None:
    """A run whose stages before `quantize` are done, with one artefact for each of `units` sets."""
    from faq_tui.core.run.run import open_run
    from faq_tui.core.stages.pipeline import all_stages
    from faq_tui.core.store import stages
    from faq_tui.core.store.sets import SetRow, add_set

    names = [f"set{number}" for number in range(units)]
    (folder / "target").mkdir()
    (folder / "target" / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (folder / "seeds.txt").write_text("Which box is heavier?\n", encoding="utf-8")
    sets = "".join(f"[sets.{name}]\ncount = {number + 1}\n" for number, name in enumerate(names))
    listed = ", ".join(f'"{name}"' for name in names)
    (folder / "faq.toml").write_text(SETTINGS.format(names=listed) + sets, encoding="utf-8")
    with open_run(folder) as run:
        run.calibration.mkdir()
        for number, name in enumerate(run.settings.all_set_names()):
            (run.calibration / f"{name}.jsonl").touch()
            add_set(run.store, SetRow(name, f"{number:032x}", 10, 1000, 1000, 0, {}))
        for stage in all_stages()[:5]:
            stages.begin(run.store, stage.name, stage.signature(run), "made-up")
            stages.end(run.store, stage.name, "done")


def no_op(task: str, spec: dict[str, Any], hear: Callable[[dict[str, Any]], None], *_: Any) -> None:
    """A worker that sends the messages of a quantization and writes an empty artefact."""
    from faq_tui.core.quantizing.output import write_manifest

    assert task == "quantize"
    hear({"kind": "quantize_started", "layers": 2, "samples": 10, "tokens": 1000})
    for layer in range(2):
        hear({"kind": "layer_started", "layer": layer, "modules": ["o_proj"]})
        hear({"kind": "module", "layer": layer, "module": "o_proj", "loss": 0.1, "seconds": 0.1, "note": ""})
        hear({"kind": "layer_done", "layer": layer})
    out = Path(spec["out"])
    out.mkdir(parents=True)
    (out / "config.json").write_text("{}", encoding="utf-8")
    result = {"average_bits": 4.25, "seconds": 0.1}
    write_manifest(out, result)
    hear({"kind": "quantized", **result})


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(units: int) -> dict[str, float]:
    """Make all artefacts of a new run, and list its units before and after."""
    from faq_tui.core.base.cancel import CancelToken
    from faq_tui.core.run.context import Context
    from faq_tui.core.run.event_file import EventFile
    from faq_tui.core.run.run import open_run
    from faq_tui.core.settings.secrets import secrets_of_run
    from faq_tui.core.stages import pools, quantize
    from faq_tui.core.stages.pipeline import recorded_without_secrets
    from faq_tui.core.store.units import UnitRow, put_unit
    from faq_tui.core.units import units_of
    from faq_tui.core.worker.pool import WorkerPool

    workers = mock.patch.object(pools, "WorkerPool", partial(WorkerPool, run=no_op))
    with workers, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_run(folder, units)
        began = time.monotonic()
        with open_run(folder) as run, ExitStack() as resources:
            opened = time.monotonic() - began
            before = peak_bytes()
            began = time.monotonic()
            found = units_of(run)
            listing = time.monotonic() - began
            record = resources.enter_context(EventFile(folder / "events.jsonl"))
            emit = recorded_without_secrets(record, lambda _event: None, secrets_of_run(run.settings))
            began = time.monotonic()
            quantize.execute(Context(run, emit, CancelToken(), "job", ("quantize",), resources))
            made = time.monotonic() - began
            peak = peak_bytes()
            began = time.monotonic()
            for unit in found:
                put_unit(run.store, UnitRow(unit.name, unit.inputs, "done", "", "machine", 1.0))
            stored = time.monotonic() - began
            began = time.monotonic()
            states = [unit.state for unit in units_of(run)]
            listing_after = time.monotonic() - began
            assert states.count("done") >= units
            rows = {
                table: run.store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("artefacts", "units")
            }
        return {
            "units": len(found),
            "opened": opened,
            "listing": listing,
            "listing_after": listing_after,
            "made": made,
            "stored": stored,
            "artefact_rows": rows["artefacts"],
            "unit_rows": rows["units"],
            "database": (folder / "faq.db").stat().st_size,
            "events": sum(1 for _ in (folder / "events.jsonl").open("rb")),
            "event_bytes": (folder / "events.jsonl").stat().st_size,
            "before": before,
            "peak": peak,
        }


def row_of(artefacts: int, found: dict[str, float]) -> list[str]:
    return [
        f"{artefacts:,}",
        f"{found['units']:,.0f}",
        f"{found['artefact_rows']:,.0f} + {found['unit_rows']:,.0f}",
        f"{found['database'] / 1e6:.1f} MB",
        f"{found['events']:,.0f}",
        f"{found['event_bytes'] / 1e6:.1f} MB",
        f"{found['made']:.1f} s",
        f"{found['made'] / artefacts * 1000:.1f} ms",
        f"{(found['peak'] - found['before']) / 1e6:.0f} MB",
        f"{found['opened']:.2f} s",
        f"{found['listing']:.2f} s",
        f"{found['listing_after']:.2f} s",
    ]


HEAD = (
    *("artefacts", "units", "rows", "database", "events", "event file", "job", "job per artefact", "more memory"),
    *("opening", "list before", "list after"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, nargs="+", default=[500, 1000, 2500, 5000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    before, rows = load(), []
    for units in arguments.units:
        command = [sys.executable, __file__, "--one", str(units)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(row_of(units, json.loads(done.stdout)))
        print(rows[-1], file=sys.stderr)
    notes = (
        "Each artefact is made by a worker that does nothing. `rows`: rows of the tables `artefacts` and `units`. "
        "`job`: time of the stage `quantize` for all artefacts, with two workers at a time. `more memory`: how much "
        "the peak memory of the job's process grows during the list and the stage. `opening`: time to read the "
        "settings and to open the database. `list before`, `list after`: time of the list of units before and after "
        f"the stage. Load of the machine: {before:.1f} before, {load():.1f} after."
    )
    publish(
        "Units of work: what grows with their number",
        about("pydantic"),
        f"{table(HEAD, rows)}\n\n{notes}",
        arguments.out,
    )


if __name__ == "__main__":
    main()
