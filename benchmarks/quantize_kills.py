"""Kill quantizations with SIGKILL at random moments, resume them, and compare the artefacts with undisturbed ones.

    python benchmarks/quantize_kills.py [--kills 20] [--methods gptq gptaq spqr w8a8] [--awq 3] [--seed 0]
                                        [--out FILE]

The model is tiny, has random weights, and runs on the CPU. A kill comes after a random number of the attempt's
messages, at a random moment before the next message. Some kills come before the first message. An attempt
continues after the last finished layer. When an artefact is complete, its files are compared with those of an
undisturbed quantization, byte by byte, and the next artefact begins. In the manifest, only the losses and the average
bits are compared, because the other entries contain times. GPTQModel's log also contains times and is not compared.
`--awq` is the number of kills of AWQ. AWQ runs on GPTQModel, which cannot resume it, so AWQ starts over after each
kill. The exit status is 1 if a file differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import about, load, publish, table

LAYERS, MODULES = 8, 7
PER_LAYER = MODULES + 2  # messages for each layer: layer_started, one for each module, and layer_done
AHEAD = 2.2  # a kill comes at most this number of layers after the start of an attempt
OWN: dict[str, dict[str, Any]] = {
    "gptq": {"engine": "walk"},
    "gptaq": {"engine": "walk"},
    "spqr": {},
    "w8a8": {"bits": 8, "group_size": -1},
    "awq": {"sym": False},
}


LOG = "quant_log.csv"  # GPTQModel's own log, with the times of the modules


@dataclass
class Outcome:
    kills: int = 0
    early: int = 0  # kills before the first layer of the attempt began
    saving: int = 0  # kills while the model was written
    resumed: int = 0  # attempts that continued after a finished layer
    artefacts: int = 0
    equal: int = 0  # artefacts whose files are all equal
    repeated: int = 0  # finished layers that a later attempt computed again


def kill_workers() -> None:
    from tests.support.quantize_bench import children

    for child in children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def contents(folder: Path) -> dict[str, Any]:
    """The content of each file, by its name. The manifest without the entries that depend on time."""
    from faq_tui.core.quantizing.output import NAME

    found: dict[str, Any] = {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    found.pop(LOG, None)
    manifest = json.loads(found.pop(NAME))
    losses = [(one["layer"], one["module"], one["loss"], one["samples"]) for one in manifest["losses"]]
    return {**found, NAME: (manifest["average_bits"], losses)}


def attempt(bench: Any, spec: dict[str, Any], outcome: Outcome, done: set[int], dice: random.Random | None) -> bool:
    """Run the worker once. With `dice`, the worker is killed. Returns True if the artefact is complete."""
    from faq_tui.core.base.cancel import CancelToken
    from faq_tui.core.base.errors import FaqError

    goal = dice.randrange(round(AHEAD * PER_LAYER)) if dice else -1
    delay = dice.random() * 0.05 if dice else 0.0
    seen: list[str] = []
    own: set[int] = set()  # layers that this attempt has computed
    timers: list[threading.Timer] = []

    first = 0  # the first layer that this attempt computes

    def hear(message: dict[str, Any]) -> None:
        nonlocal first
        kind = message["kind"]
        if kind == "resumed":
            outcome.resumed += 1
            first = message["layer"]
        if kind == "layer_started" and message["layer"] >= first:
            own.add(message["layer"])
        if kind == "layer_done" and message["layer"] in own:
            outcome.repeated += message["layer"] in done
            done.add(message["layer"])
        if own or kind == "saving":  # an attempt first repeats the messages of the finished layers
            seen.append(kind)
        if len(seen) == goal and not timers:
            timers.append(threading.Timer(delay, kill_workers))
            timers[0].start()

    if goal == 0:
        timers.append(threading.Timer(delay * 10, kill_workers))
        timers[0].start()
    try:
        bench.worker(spec, hear, CancelToken())
        return True
    except FaqError as error:
        if "killed" not in str(error):
            raise
        outcome.kills += 1
        outcome.early += not own
        outcome.saving += "saving" in seen
        return False
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()


def kill_often(bench: Any, method: str, kills: int, dice: random.Random) -> Outcome:
    outcome = Outcome()
    keys = {"method": method, **OWN[method]}
    whole = bench.spec(f"whole-{method}", **keys)
    attempt(bench, whole, Outcome(), set(), None)
    expected = contents(Path(whole["out"]))
    assert any(name.endswith(".safetensors") for name in expected)
    while outcome.kills < kills or outcome.artefacts == 0:
        checkpoints = bench.root / f"checkpoints-{method}"
        spec = bench.spec(f"killed-{method}", **keys, checkpoints=str(checkpoints), checkpoint_s=0.0)
        done = set[int]()
        while not attempt(bench, spec, outcome, done, dice if outcome.kills < kills else None):
            shutil.rmtree(spec["out"], ignore_errors=True)  # the stage does the same before it starts over
            if method == "awq":
                done.clear()
        outcome.artefacts += 1
        made = contents(Path(spec["out"]))
        outcome.equal += made == expected
        for name in sorted(made.keys() | expected.keys()):
            if made.get(name) != expected.get(name):
                print(f"{method}: {name} differs", file=sys.stderr, flush=True)
        shutil.rmtree(spec["out"])
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20, help="kills of each method on the walk")
    parser.add_argument("--methods", nargs="*", default=["gptq", "gptaq", "spqr", "w8a8"])
    parser.add_argument("--awq", type=int, default=3, help="kills of AWQ")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests' models
    from tests.support.quantize_bench import Bench
    from tests.support.tiny import make_rows, make_tiny_model

    before, began, rows, failed = load(), time.monotonic(), [], False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bench = Bench(root, make_tiny_model(root / "target", layers=LAYERS), make_rows(root / "rows.jsonl", count=3))
        jobs = [(method, arguments.kills) for method in arguments.methods]
        for method, kills in [*jobs, *([("awq", arguments.awq)] if arguments.awq else [])]:
            found = kill_often(bench, method, kills, random.Random(f"{arguments.seed} {method}"))
            failed |= found.equal != found.artefacts
            rows.append([method, *(str(getattr(found, name)) for name in found.__dataclass_fields__)])
            print(rows[-1], file=sys.stderr, flush=True)
    head = [
        "method",
        "kills",
        "before a layer",
        "while saving",
        "resumed",
        "artefacts",
        "equal",
        "layers computed again",
    ]
    body = (
        f"{LAYERS} layers, seed {arguments.seed}; load {before:.1f} before, {load():.1f} after; "
        f"{time.monotonic() - began:.0f} s\n\n{table(head, rows)}"
    )
    publish(
        "Quantizations killed at random moments", about("torch", "transformers", "gptqmodel"), body, arguments.out
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
