"""Measure the time from the request for an artefact until its first layer begins.

    python benchmarks/second_artefact.py ROWS [--methods gptq gptq spqr w8a8 gptaq awq awq] [--out FILE]
                                         [--model FOLDER] [--device cpu] [--without-server]

The target is the embedded model, or `--model`. `ROWS` is a calibration file of a run, for example the file
`calibration/self.jsonl` of the demo. Each quantization is stopped when its first layer begins, and then the next
method follows. The first worker needs more time than later workers, because the fork server first imports torch and
transformers. CPU time includes the fork server and the child. `--without-server` measures without the fork server:
each worker imports all libraries itself.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from machine import about, load, publish, table

from faq_tui.core.settings.recipe import build_recipe

RECIPES: dict[str, dict[str, Any]] = {
    "gptq": {"bits": 4, "group_size": 64},
    "gptaq": {"bits": 4, "group_size": 64},
    "spqr": {"bits": 3, "group_size": 16},
    "w8a8": {"bits": 8},
    "awq": {"bits": 4, "group_size": 64},
}


def cpu_seconds() -> float:
    """The CPU time of this process and of all its descendants, including those that have ended."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = path.joinpath("stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.name))
            ticks[int(path.name)] = sum(map(int, fields[11:15]))
    total, todo = 0, [os.getpid()]
    while todo:
        pid = todo.pop()
        total += ticks.get(pid, 0)
        todo += children.get(pid, [])
    return total / os.sysconf("SC_CLK_TCK")


def first_layer(method: str, model: Path, rows: Path, folder: Path, device: str) -> tuple[float, float]:
    """Seconds and CPU seconds until the first layer begins."""
    from faq_tui.core.base.cancel import CancelToken
    from faq_tui.core.base.errors import Stopped
    from faq_tui.core.worker import run_worker

    spec = {
        "artefact": method,
        "recipe": build_recipe({"method": method, **RECIPES[method]}).identity(),
        "model": str(model),
        "trust_remote_code": False,
        "device": device,
        "rows": str(rows.absolute()),
        "out": str(folder / "out"),
        "checkpoints": None,
    }
    cancel, found = CancelToken(), list[tuple[float, float]]()
    began, before = time.monotonic(), cpu_seconds()

    def hear(message: dict[str, Any]) -> None:
        if message["kind"] == "layer_started" and not found:
            found.append((time.monotonic() - began, cpu_seconds() - before))
            cancel.set()

    with suppress(Stopped):
        run_worker("quantize", spec, hear, cancel, folder / "log.txt")
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--methods", nargs="+", default=["gptq", "gptq", "spqr", "w8a8", "gptaq", "awq", "awq"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--without-server", action="store_true")
    arguments = parser.parse_args()
    from faq_tui.core.embedded.model import ensure_model
    from faq_tui.core.worker import forked

    if arguments.without_server:
        forked.safe = lambda: False
    model, found = arguments.model or ensure_model(print).folder, []
    for number, method in enumerate(arguments.methods, 1):
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu = first_layer(method, model, arguments.rows, Path(folder), arguments.device)
        found.append([str(number), method, f"{seconds:.1f}", f"{cpu:.1f}", f"{load():.1f}"])
    head = ["artefact", "method", "seconds", "CPU seconds", "load"]
    where = about("torch", "transformers", "gptqmodel")
    publish("From the request for an artefact until its first layer begins", where, table(head, found), arguments.out)


if __name__ == "__main__":
    main()
