"""Quantize a model on one GPU, and on several GPUs that divide the rows, and compare time, memory, codes and losses.

    python benchmarks/split_rows.py SHAPE WORK [--devices cuda:0,cuda:1] [--method gptq@walk] [--rows 256]
                                    [--tokens 2048] [--layers 2] [--group 128] [--tiny] [--out FILE]

SHAPE is qwen3-8b, qwen3-30b-a3b or qwen3-1.7b. The program makes a random model with `--layers` layers in WORK. It
quantizes the model on the first device and on all devices together, three times each, all in one process. The first
quantization of all also imports the libraries and compiles the kernels. The second one of each number of devices is
warm. The third one measures the phases of the walk, so it waits for the devices at the end of each phase.

The first and the second artefact of the same number of devices must have the same bits, otherwise the program fails.
A test on a CPU: `--devices cpu,cpu --tiny --rows 16 --tokens 64 --group 32`.
"""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from machine import about, publish, table
from shapes import MODELS, TINY, make_model, make_rows
from walk_profile import Phases, quantize

from faq_tui.core.models.devices import devices_of
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.settings.recipe import build_recipe


class Measured:
    """Quantizations on `count` devices."""

    def __init__(self, spec: dict[str, Any], work: Path, devices: list[str]) -> None:
        self.devices, self._spec, self._work = devices, spec, work
        self.seconds: dict[str, tuple[float, float]] = {}  # maps "first" and "warm" to seconds: all, and a layer
        self.peaks: list[float] = []  # peak memory of each GPU in GB

    def folder(self, name: str) -> Path:
        return self._work / f"{len(self.devices)}-{name}"

    def run(self, name: str, keep: bool = True) -> float:
        """Quantize once. Returns the seconds of the whole task."""
        import torch

        gpus = [torch.device(device) for device in self.devices if device != "cpu"]
        for gpu in gpus:
            torch.cuda.reset_peak_memory_stats(gpu)
        shutil.rmtree(self.folder(name), ignore_errors=True)
        spec = {**self._spec, "out": str(self.folder(name)), "devices": len(self.devices)}
        whole, _, layer = quantize(spec, keep)
        if keep:
            self.seconds[name] = whole, layer
            self.peaks = [torch.cuda.max_memory_allocated(gpu) / 1e9 for gpu in gpus]
        return whole


def measure_phases(phases: Phases) -> None:
    """Measure functions that only the main thread calls."""
    from faq_tui.core.quantizing.sequential import engine, walk
    from faq_tui.core.quantizing.sequential.shard import Shard
    from faq_tui.core.quantizing.sequential.team import Team

    for owner, name, label in (
        (walk, "capture", "embedding of the tokens"),
        (walk, "copy_to", "copies of the layer"),
        (Shard, "begin_layer", "begin of a layer"),
        (Team, "each", "forward passes and Hessians"),
        (walk, "summed", "sums of Hessians"),
        (walk.LayerWalk, "_solve", "solving of the matrices"),
        (engine, "write_model", "writing of the model"),
    ):
        phases.measure(owner, name, label)


class Busy:
    """The seconds in which each thread of a team worked, and the seconds in which at least one of them did.

    A thread waits for its GPU at the end of each work.
    """

    def __init__(self) -> None:
        self.spans: list[tuple[str, float, float]] = []

    def measure(self) -> None:
        from faq_tui.core.quantizing.sequential.team import Team

        run, spans = Team._run, self.spans

        def measured(team: Team, device: str, work: Any) -> Any:
            import torch

            def waited() -> Any:
                began = time.perf_counter()
                result = work()
                if device != "cpu":
                    torch.cuda.synchronize(device)
                spans.append((f"{threading.current_thread().name}, {device}", began, time.perf_counter()))
                return result

            return run(team, device, waited)

        setattr(Team, "_run", measured)  # noqa: B010  mypy refuses a plain assignment

    def lines(self) -> list[list[str]]:
        names = sorted({name for name, _, _ in self.spans})
        each = {name: sum(end - began for one, began, end in self.spans if one == name) for name in names}
        together, until = 0.0, 0.0
        for _, began, end in sorted(self.spans, key=lambda span: span[1]):
            together += max(0.0, end - max(began, until))
            until = max(until, end)
        return [*([name, f"{seconds:.2f}"] for name, seconds in each.items()), ["at least one", f"{together:.2f}"]]


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {
        f"{path.relative_to(folder)}/{name}": tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def same_bits(one: Path, other: Path) -> bool:
    import torch

    first, second = tensors(one), tensors(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def equal_codes(one: Path, other: Path) -> float | None:
    """The share of equal 4-bit codes of two GPTQ artefacts, or of equal 8-bit weights; None for other methods."""
    import torch

    first, second, same, total = tensors(one), tensors(other), 0, 0
    for name, tensor in first.items():
        if not name.endswith("qweight") and tensor.dtype != torch.int8:
            continue
        packed = name.endswith("qweight")
        left, right = (value.view(torch.uint8) for value in (tensor, second[name]))
        for mask in (15, 240) if packed else (255,):  # a byte of `qweight` holds two codes
            same, total = same + int(((left ^ right) & mask == 0).sum()), total + left.numel()
    return same / total if total else None


def losses(folder: Path) -> dict[tuple[int, str], float]:
    manifest = read_manifest(folder)
    assert manifest is not None
    return {(one["layer"], one["module"]): one["loss"] for one in manifest["losses"] if one["loss"] is not None}


def compared(one: Path, several: Path) -> list[list[str]]:
    before, after = losses(one), losses(several)
    both = before.keys() & after.keys()
    each = [abs(after[key] / before[key] - 1) for key in both if before[key]]
    total = sum(after[key] for key in both) / sum(before[key] for key in both) - 1
    codes = equal_codes(one, several)
    return [
        ["equal codes", "not counted for this method" if codes is None else f"{100 * codes:.3f}%"],
        ["sum of the losses", f"{100 * total:+.4f}%"],
        ["largest difference of a module's loss", f"{100 * max(each):.4f}%"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=MODELS)
    parser.add_argument("work", type=Path)
    parser.add_argument("--devices", default="cuda:0,cuda:1")
    parser.add_argument("--method", default="gptq@walk")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    devices = options.devices.split(",")
    kind = devices[0].partition(":")[0]
    if devices != devices_of(kind, len(devices)):
        parser.error("give --devices as cuda:0,cuda:1,… or as cpu,cpu,…")
    options.work.mkdir(parents=True, exist_ok=True)
    shape = (TINY if options.tiny else MODELS)[options.shape]
    model = make_model(options.work / "model", shape, options.layers, kind)
    make_rows(options.work / "rows.jsonl", options.rows, options.tokens, shape.vocab)
    method, _, engine = options.method.partition("@")
    asked: dict[str, Any] = {"method": method}
    if method != "w8a8":
        asked |= {"bits": 4, "group_size": options.group}
    recipe = build_recipe({**asked, **({"engine": engine} if engine else {})})
    spec = {
        "artefact": "split",
        "model": str(model),
        "recipe": recipe.identity(),
        "rows": str(options.work / "rows.jsonl"),
        "device": kind,
    }
    one, several = (Measured(spec, options.work, used) for used in (devices[:1], devices))
    for measured in (one, several):
        for name in ("first", "warm"):
            measured.run(name)
            print(len(measured.devices), name, *(f"{part:.3f}" for part in measured.seconds[name]), flush=True)
        if not same_bits(measured.folder("first"), measured.folder("warm")):
            raise SystemExit(f"two artefacts of {len(measured.devices)} devices do not have the same bits")
    lines = []
    for measured in (one, several):
        (first, first_layer), (warm, warm_layer) = measured.seconds["first"], measured.seconds["warm"]
        peaks = ", ".join(f"{peak:.1f} GB" for peak in measured.peaks) or "not measured"
        lines.append(
            [
                str(len(measured.devices)),
                f"{first:.2f}",
                f"{warm:.2f}",
                f"{first_layer:.3f}",
                f"{warm_layer:.3f}",
                peaks,
            ]
        )
    ratios = [one.seconds["warm"][part] / several.seconds["warm"][part] for part in (0, 1)]
    lines.append(["ratio", "", f"{ratios[0]:.2f}", "", f"{ratios[1]:.2f}", ""])
    head = [
        "devices",
        "whole, first (s)",
        "whole, warm (s)",
        "a layer, first (s)",
        "a layer, warm (s)",
        "peak memory",
    ]
    facts = compared(one.folder("warm"), several.folder("warm"))

    def synchronize() -> None:
        import torch

        for device in devices if kind == "cuda" else ():
            torch.cuda.synchronize(device)

    phases = Phases(synchronize)
    measure_phases(phases)
    found: list[dict[str, float]] = []
    busy = Busy()
    busy.measure()
    for measured in (one, several):
        phases.seconds.clear()
        whole = measured.run("phases", keep=False)
        found.append({**phases.seconds, "everything else": whole - sum(phases.seconds.values())})
    ranked = sorted(set().union(*found), key=lambda label: -found[0].get(label, 0.0))
    timed = [[label, *(f"{each.get(label, 0.0):.2f}" for each in found)] for label in ranked]
    counts = [f"{len(measured.devices)} device{'s' * (len(measured.devices) > 1)} (s)" for measured in (one, several)]
    body = "\n\n".join(
        [
            table(head, lines),
            table([f"{len(devices)} devices compared with one", "value"], facts),
            table(["phase of a warm quantization", *counts], timed),
            table([f"thread and device, with {len(devices)} devices", "working (s)"], busy.lines()),
            f"Two artefacts of one device have the same bits, and so have two artefacts of {len(devices)} devices.",
        ]
    )
    name = f"{options.shape}{', tiny' if options.tiny else ''}"
    title = f"{options.method} on {name}, {options.layers} layers: {options.rows} × {options.tokens} tokens"
    publish(title, about("torch", "transformers"), body, options.out)


if __name__ == "__main__":
    main()
