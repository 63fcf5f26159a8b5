"""Run every recipe on the embedded model, one at a time.

The table shows time, memory, perplexity, KL, top-1 agreement and doctor's estimate.

    python benchmarks/cuda_table.py RUN [--out FOLDER] [--budget SECONDS] [--device cuda] [--group 64]
                                    [--recipes gptq-4,spqr-4,…] [--tiny]

RUN is a run whose calibration sets are already assembled, so that no server is needed. The program uses the sets
`baseline` and `self`. If RUN has other sets, it uses all of them. The program replaces the recipes of RUN. If a
recipe is not finished when the budget ends, it is left out of the table. A second call of the same command continues
with this recipe. `table.md` and `table.json` are written after every recipe. The rows under `costs` have the format
of faq_tui/core/data/quantize_costs.json. With `--tiny`, the program first makes a run with a tiny random target at
RUN, for a test on a CPU.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from typing import Any

import tomlkit
from machine import about, table
from metered import Meter
from watched import told_beforehand, whole_seconds

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, TOP1
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.run.events import Event, Note, StageFailed
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages.pipeline import run_pipeline
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.measurements import all_measurements
from faq_tui.core.store.sets import all_sets

# The most important recipes come first, because the budget may end before the last recipe.
RECIPES = ("gptq-4", "spqr-4", "w8a8-8", "gptaq-4", "awq-4", "gptaq-8", "gptq-8", "spqr-4-reference")
FOR_EVALUATION = 0.25  # share of the budget that is kept for the evaluation


def recipe(name: str, group: int, sets: list[str]) -> dict[str, Any]:
    """The recipe for `name`, which has the form method-bits or method-bits-preset, such as gptq-4.

    A sink share may follow, such as gptq-4@0.04.
    """
    name, _, share = name.partition("@")
    method, bits, *preset = name.split("-")
    found: dict[str, Any] = {"method": method, "bits": int(bits)}
    if method != "w8a8":
        found["group_size"] = group
    if preset:
        found["preset"] = preset[0]
    if share:
        found["sink_share"] = share if share in ("off", "auto") else float(share)
    return {**found, "sets": sets}


def write_settings(run: Path, recipes: list[dict[str, Any]], device: str) -> None:
    path = run / "faq.toml"
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    target: Any = document["target"]
    target["device"] = device
    document.pop("recipes", None)
    tables = tomlkit.aot()
    for values in recipes:
        one = tomlkit.table()
        one.update(values)
        tables.append(one)
    if recipes:
        document["recipes"] = tables
    none = "" if recipes else "recipes = []\n"  # without this line, faq-tui would add its default recipe
    path.write_text(none + tomlkit.dumps(document), encoding="utf-8")


def pipeline(folder: Path, until: str, seconds: float, meter: Meter | None = None) -> str:
    """Run the stage and stop it after `seconds`. Returns the reason if the stage ended early, else ""."""
    cancel = CancelToken()
    timer = threading.Timer(max(1.0, seconds), cancel.set)
    timer.daemon = True
    timer.start()

    def tell(event: Event) -> None:
        if meter is not None:
            meter(event)
        if isinstance(event, Note | StageFailed):
            print(event, flush=True)

    try:
        with open_run(folder) as run:
            run_pipeline(run, tell, cancel, until=until)
    except FaqError as error:
        return str(error)
    finally:
        timer.cancel()
        if meter is not None:
            meter.end()
    return ""


def figures(run: Run) -> dict[str, dict[str, dict[str, float]]]:
    """The results, as results[model][text][metric]."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (subject, text), measurement in all_measurements(run.store).items():
        sums = Sums.of(measurement.items)
        if {"nll", "kl", "agree", "tokens"} <= set(measurement.items):  # questions have other metrics
            found.setdefault(subject, {})[text] = {
                metric.name: metric.value_of(sums) for metric in (PERPLEXITY, KL, TOP1)
            }
    return found


def rows(folder: Path, costs: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per finished artefact: values from its manifest, its evaluation results, and doctor's estimate."""
    found = []
    with open_run(folder) as run:
        measured = figures(run)
    if "unquantized" in measured:
        found.append({"artefact": "unquantized", "texts": measured["unquantized"]})
    for path in sorted((folder / "models").glob("*/faq_manifest.json")):
        body = read_manifest(path.parent) or {}
        cost = costs.get(body["artefact"])
        found.append(
            {
                "artefact": body["artefact"],
                "recipe": body["recipe"],
                "set": body.get("calibration", {}).get("set"),
                "samples": body["samples"],
                "tokens": body["tokens"],
                "average_bits": body["average_bits"],
                "device": body["device"],
                "texts": measured.get(body["artefact"], {}),
            }
            | (against_doctor(cost) if cost else {})
        )
    return found


def against_doctor(cost: dict[str, Any]) -> dict[str, float | None]:
    """The cost of a quantization, and the ratio of doctor's estimate to this cost."""
    told, seconds = told_beforehand(cost), whole_seconds(cost)
    return {
        "seconds": seconds,
        "gpu_mb": cost["gpu_bytes"] and cost["gpu_bytes"] / 1e6,
        "host_mb": cost["host_bytes"] / 1e6,
        "told_seconds": seconds and told.seconds / seconds,
        "told_gpu": cost["gpu_bytes"] and told.gpu_bytes / cost["gpu_bytes"],
        "told_host": told.host_bytes / cost["host_bytes"] if cost["host_bytes"] else None,
    }


def write(out: Path, folder: Path, notes: list[str], costs: dict[str, dict[str, Any]]) -> None:
    found = rows(folder, costs)
    body = {"rows": found, "notes": notes, "costs": costs}
    (out / "table.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    texts = sorted({text for one in found for text in one["texts"]})
    keys = {
        "tokens": "tokens",
        "average_bits": "bits",
        "seconds": "seconds",
        "gpu_mb": "GPU MB",
        "host_mb": "host MB",
        "told_seconds": "told/seconds",
        "told_gpu": "told/GPU",
        "told_host": "told/host",
    }
    head = ["artefact", *keys.values(), *(f"{text} {m}" for text in texts for m in ("PPL", "KL", "top-1"))]
    lines = []
    for one in found:
        cells = [one["artefact"], *(_plain(one.get(key)) for key in keys)]
        for text in texts:
            values = one["texts"].get(text, {})
            cells += [_metric(values, metric.name) for metric in (PERPLEXITY, KL, TOP1)]
        lines.append(cells)
    devices = ", ".join(sorted({one["device"] for one in found if "device" in one}))
    where = f"{about('torch', 'transformers', 'gptqmodel')} · {devices}"
    text = table(head, lines) + "".join(f"\n\n{note}" for note in notes)
    (out / "table.md").write_text(f"# Every recipe\n\n{where}\n\n{text}\n", encoding="utf-8")


def _plain(value: Any) -> str:
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _metric(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    return "–" if value is None else f"{100 * value:.1f}%" if name == TOP1.name else f"{value:.4f}"


def make_tiny(folder: Path) -> None:
    """A run with a tiny target and one set, to test this program."""
    from shapes import Shape, make_model

    make_model(folder / "target", Shape(128, 256, 4, 2, 32, 2, vocab=512), 2, "cpu")
    lines = [f"Question {n}: which of the {n + 3} boxes is heavier, and by how much?" for n in range(20)]
    (folder / "seeds.txt").write_text("\n".join(lines), encoding="utf-8")
    if not (folder / "faq.toml").is_file():
        (folder / "faq.toml").write_text(
            '[target]\nmodel = "target"\n[seeds]\npath = "seeds.txt"\ncount = 12\nheldout = 2\n'
            '[assemble]\nmax_tokens = 64\n[evaluate]\nperplexity = ["pydoc"]\nwindow = 32\nprose_tokens = 256\n'
            "answer_tokens = 4\n",
            encoding="utf-8",
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--budget", type=float, default=480.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--sets", default="baseline,self")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    if options.tiny:
        options.device = "cpu"
        make_tiny(options.run)
        pipeline(options.run, "assemble", options.budget)
    options.out.mkdir(parents=True, exist_ok=True)
    with open_run(options.run) as run:
        there = all_sets(run.store)
    sets = [name for name in options.sets.split(",") if name in there] or list(there)[:2]
    end = started + options.budget
    last = end - FOR_EVALUATION * options.budget
    done: list[dict[str, Any]] = []
    notes: list[str] = []
    meter = Meter(options.run, "cuda" if options.device == "cuda" else "cpu")
    for name in options.recipes.split(","):
        if time.monotonic() >= last:
            notes.append(f"{name}: not started, because too little time was left")
            continue
        one = recipe(name, options.group, sets)
        write_settings(options.run, [*done, one], options.device)
        before = time.monotonic()
        why = pipeline(options.run, "quantize", last - before, meter)
        if why:
            notes.append(f"{name}: {why}")
        else:
            done.append(one)
        print(f"{name}: {time.monotonic() - before:.0f} s {why}", flush=True)
        write(options.out, options.run, notes, meter.costs())
    if done:
        write_settings(options.run, done, options.device)
        why = pipeline(options.run, "evaluate", end - time.monotonic())
        if why:
            notes.append(f"evaluation: {why}")
    write(options.out, options.run, notes, meter.costs())
    print((options.out / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
