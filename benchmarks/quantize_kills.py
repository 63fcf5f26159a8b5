"""Kill quantizations with SIGKILL at random moments, resume them, and compare the artefacts with undisturbed ones.

    python benchmarks/quantize_kills.py [--kills 20] [--methods gptq gptaq spqr w8a8] [--awq 3] [--seed 0]
                                        [--model KIND] [--full N --disk FOLDER] [--out FILE]

The model is tiny, has random weights, and runs on the CPU. `--model` is an architecture of
tests/support/architectures.py, such as qwen3_moe; the default is a dense Llama.

A kill comes after a random number of the attempt's messages, at a random moment before the next message. Some kills
come before the first message. An attempt continues after the last finished layer. When an artefact is complete, its
files are compared with those of an undisturbed quantization, byte by byte, and the next artefact begins. In the
manifest, only the losses and the average bits are compared, because the other entries contain times. GPTQModel's log
also contains times and is not compared.
`--awq` is the number of kills of AWQ. AWQ runs on GPTQModel, which cannot resume it, so AWQ starts over after each
kill. `--full` is the number of times that the disk is full for each method, instead of kills: at a random moment, a
file takes all the free space of the file system in FOLDER, until the attempt has failed. The error must be one
sentence. FOLDER should be a small file system of its own:

    mount -t tmpfs -o size=64m tmpfs FOLDER

The exit status is 1 if a file differs.
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from machine import about, load, publish, table

LAYERS = 8
BESIDE = 2  # messages for each layer besides those of its modules: layer_started and layer_done
FULL = "full"  # the name of the file that takes the free space
AHEAD = 2.2  # a kill comes at most this number of layers after the start of an attempt
OWN: dict[str, dict[str, Any]] = {  # a job's recipe names defaults that earlier versions did not have
    "gptq": {"engine": "walk", "scale_search": True, "sink_share": "auto"},
    "gptaq": {"engine": "walk", "scale_search": True},
    "spqr": {"sink_share": "auto"},
    "w8a8": {"bits": 8, "group_size": -1},
    "awq": {"sym": False},
}


FIGURES = ("kills", "early", "saving", "resumed", "artefacts", "equal", "repeated")
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
    sentences: set[str] = field(default_factory=set)  # the errors


def kill_workers() -> None:
    from tests.support.quantize_bench import children

    for child in children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def fill(path: Path) -> None:
    """Write a file that takes all the free space."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(b"\0" * size):
                    pass


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


@dataclass(frozen=True)
class Disturbance:
    act: Callable[[], None]
    undo: Callable[[], None]
    word: str  # a word of the error that it causes
    modules: int = 7  # the modules of each layer


KILLS = Disturbance(kill_workers, lambda: None, "killed")


def attempt(
    bench: Any,
    spec: dict[str, Any],
    outcome: Outcome,
    done: set[int],
    dice: random.Random | None,
    disturbance: Disturbance = KILLS,
) -> bool:
    """Run the worker once. With `dice`, it is disturbed at a random moment. Returns True if it is complete."""
    from faq_tui.core.base.cancel import CancelToken
    from faq_tui.core.base.errors import FaqError

    goal = dice.randrange(round(AHEAD * (disturbance.modules + BESIDE))) if dice else -1
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
            timers.append(threading.Timer(delay, disturbance.act))
            timers[0].start()

    if goal == 0:
        timers.append(threading.Timer(delay * 10, disturbance.act))
        timers[0].start()
    try:
        bench.worker(spec, hear, CancelToken())
        return True
    except FaqError as error:
        if disturbance.word not in str(error) or "\n" in str(error):
            raise
        outcome.sentences.add(str(error).replace(str(bench.root), ""))
        outcome.kills += 1
        outcome.early += not own
        outcome.saving += "saving" in seen
        return False
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
        disturbance.undo()


def kill_often(bench: Any, method: str, kills: int, dice: random.Random, disturbance: Disturbance = KILLS) -> Outcome:
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
        while not attempt(bench, spec, outcome, done, dice if outcome.kills < kills else None, disturbance):
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
    parser.add_argument("--model", help="an architecture of tests/support/architectures.py")
    parser.add_argument("--full", type=int, help="full disks of each method, instead of kills")
    parser.add_argument("--disk", type=Path, help="the folder for --full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests' models
    from faq_tui.core.models.headers import linear_shapes
    from tests.support.architectures import make
    from tests.support.quantize_bench import Bench
    from tests.support.tiny import make_rows, make_tiny_model

    before, began, rows, failed = load(), time.monotonic(), [], False
    with tempfile.TemporaryDirectory(dir=arguments.disk) as folder:
        root = Path(folder)
        if arguments.model is None:
            target = make_tiny_model(root / "target", layers=LAYERS)
        else:
            target = make(arguments.model, root / "target", num_hidden_layers=LAYERS)
        bench = Bench(root, target, make_rows(root / "rows.jsonl", count=3, vocab=128))
        disturbance = replace(KILLS, modules=len(linear_shapes(target)) // LAYERS)
        if arguments.full is not None:
            filler = root / FULL
            free = partial(filler.unlink, missing_ok=True)
            disturbance = replace(disturbance, act=partial(fill, filler), undo=free, word="no space left")
            arguments.kills = arguments.full
        jobs = [(method, arguments.kills) for method in arguments.methods]
        for method, kills in [*jobs, *([("awq", arguments.awq)] if arguments.awq else [])]:
            found = kill_often(bench, method, kills, random.Random(f"{arguments.seed} {method}"), disturbance)
            failed |= found.equal != found.artefacts
            rows.append([method, *(str(getattr(found, name)) for name in FIGURES)])
            print(rows[-1], *sorted(found.sentences), sep="\n", file=sys.stderr, flush=True)
    head = [
        "method",
        "kills" if arguments.full is None else "full disks",
        "before a layer",
        "while saving",
        "resumed",
        "artefacts",
        "equal",
        "layers computed again",
    ]
    body = (
        f"{arguments.model or 'llama'}, {LAYERS} layers, seed {arguments.seed}; load {before:.1f} before, "
        f"{load():.1f} after; {time.monotonic() - began:.0f} s\n\n{table(head, rows)}"
    )
    publish(
        "Quantizations killed at random moments", about("torch", "transformers", "gptqmodel"), body, arguments.out
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
