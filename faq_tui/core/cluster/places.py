"""Say which values in a task's spec are paths, and replace these paths by paths on another machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Places:
    """The keys of a task's spec that hold paths.

    `inputs` are files or folders that the task reads, `out` is the file or folder that it writes, and `scratch` are
    folders whose files can be computed again. `order` is a JSON file that holds further paths.
    """

    inputs: tuple[str, ...] = ()
    out: str = ""
    scratch: tuple[str, ...] = ()
    order: str = ""


PLACES = {
    "quantize": Places(("model", "rows", "kinds"), "out", ("checkpoints",)),
    "evaluate": Places(order="order"),
}


def inputs_of(task: str, spec: Mapping[str, Any]) -> list[str]:
    """The paths of all existing files and folders that the task reads. A hub id is not a path."""
    places = PLACES[task]
    paths = [str(spec[key]) for key in places.inputs if spec.get(key)]
    if places.order:
        body = json.loads(Path(spec[places.order]).read_text(encoding="utf-8"))
        paths += [spec[places.order], body["model"], *(folder for _, folder in body["subjects"].values() if folder)]
    return [path for path in dict.fromkeys(paths) if Path(path).is_absolute() and Path(path).exists()]


def moved(task: str, spec: Mapping[str, Any], here: Mapping[str, str], own: Path) -> dict[str, Any]:
    """The spec of the task on a machine that has other paths.

    `here` maps each path of `inputs_of` to a path of this machine. `own` is a folder of this machine for results and
    for files that can be computed again.
    """
    places, new = PLACES[task], dict(spec)
    for key in places.inputs:
        if key in new:
            new[key] = here.get(str(new[key]), new[key])
    if places.out:
        new[places.out] = str(own / "out" / Path(spec[places.out]).name)
    for key in places.scratch:
        new[key] = str(own / Path(spec[key]).name)
    if places.order:
        body = json.loads(Path(here[spec[places.order]]).read_text(encoding="utf-8"))
        body["model"] = here.get(body["model"], body["model"])
        body["cache"] = str(own.parent)  # all evaluations on this machine use the same files of the target
        body["subjects"] = {
            name: (hash_, here.get(folder, folder)) for name, (hash_, folder) in body["subjects"].items()
        }
        order = own / Path(spec[places.order]).name
        order.write_text(json.dumps(body), encoding="utf-8")
        new[places.order] = str(order)
    return new
