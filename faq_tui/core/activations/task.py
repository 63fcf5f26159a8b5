"""The worker child's task `activations`: run the calibration sets through the target, and measure the activations.

First, the task sends the message `plan` with the total number of tokens. Then the task sends `progress` after each
row, and `activations` when the file of a set is written. If the model has none of the chosen modules, the task sends
`unfit` and measures nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from faq_tui.core.activations import files
from faq_tui.core.activations.capture import Measured, measure
from faq_tui.core.activations.module_refs import find_module_refs
from faq_tui.core.activations.sinks import as_data
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.chat.token_kinds import KINDS, KindsSearch, read_kinds

Send = Callable[..., None]


def run(spec: dict[str, Any], send: Send, cancel: CancelToken) -> None:
    """Measure every set in `spec`.

    `spec` has the keys `model`, `trust_remote_code`, `device`, `dtype`, `read`, `modules`, `samples`, `tokens` and
    `sets`. Each entry of `sets` has the keys `name`, `signature`, `rows`, `kinds`, `ids_hash` and `out`.
    """
    import torch

    from faq_tui.core.models.devices import device_of, dtype_name
    from faq_tui.core.models.hub import local_folder
    from faq_tui.core.models.layer_stream import network_of
    from faq_tui.core.models.opening import Opening
    from faq_tui.core.models.tokenizer import tokenizer_of

    folder, device, trusted = local_folder(spec["model"]), device_of(spec["device"]), spec["trust_remote_code"]
    dtype = dtype_name(spec["dtype"], device, folder, trusted)
    read = {one["name"]: head_of(Path(one["rows"]), spec["samples"], spec["tokens"]) for one in spec["sets"]}
    total = sum(len(row["input_ids"]) for rows in read.values() for row in rows)
    send("plan", total=total)
    search = cache(lambda: KindsSearch.of(tokenizer_of(folder, trusted)))
    kinds_of_set = {one["name"]: _kinds(one, read[one["name"]], search) for one in spec["sets"]}
    cancel.check()
    model = Opening.of(folder, device, getattr(torch, dtype), trusted, spec.get("read", "auto"), cancel.check).open(
        folder
    )
    try:
        find_module_refs(network_of(model), spec["modules"])
    except UsageError as error:
        send("unfit", message=str(error))
        return
    done = 0

    def tick(tokens: int) -> None:
        nonlocal done
        done += tokens
        send("progress", done=done, total=total, detail=name)

    for one in spec["sets"]:
        name, rows, started = one["name"], read[one["name"]], time.monotonic()
        ids, kinds = [row["input_ids"] for row in rows], kinds_of_set[name]
        measured = measure(model, ids, spec["modules"], kinds=kinds, cancel=cancel, tick=tick)
        files.write(Path(one["out"]), tensors_of(measured), {"signature": one["signature"]})
        counts = [sum(row.count(kind) for row in kinds) for kind in range(len(KINDS))]
        summary = {
            "dtype": dtype,
            "device": device,
            "kinds": dict(zip(KINDS, counts, strict=True)),
            "places": [
                {"layer": ref.layer, "module": ref.module, "channels": len(at.absmax), **asdict(at.statistics)}
                for ref, at in measured.places.items()
            ],
            "experts": {str(layer): counts.tolist() for layer, counts in measured.experts.items()},
            "sinks": as_data(measured.sinks),
        }
        send(
            "activations",
            set_name=name,
            samples=len(ids),
            tokens=sum(map(len, ids)),
            seconds=round(time.monotonic() - started, 2),
            summary=summary,
        )


def _kinds(one: dict[str, Any], rows: list[dict[str, Any]], search: Callable[[], KindsSearch]) -> list[list[int]]:
    """The token kinds of `rows`.

    `rows` are the first rows of a set. Sets of older versions have no recorded kinds, so their kinds are computed
    from the text.
    """
    recorded = read_kinds(Path(one["kinds"]), one["ids_hash"], [len(row["input_ids"]) for row in rows])
    if recorded is not None:
        return [list(kinds) for kinds in recorded]
    return [search().kinds(row["text"], row["input_ids"]) for row in rows]


def head_of(path: Path, samples: int, tokens: int) -> list[dict[str, Any]]:
    """The first samples of a set. No sample is shortened.

    The result has at most `samples` samples, and at most `tokens` tokens in total. The first sample is always
    included.
    """
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            tokens -= len(row["input_ids"])
            if len(rows) == samples or (rows and tokens < 0):
                break
            rows.append(row)
    return rows


def tensors_of(measured: Measured) -> dict[str, Any]:
    """The arrays of a set's activations file. Each key is the name of an array in the file."""
    tensors: dict[str, Any] = {f"{files.EXPERTS}.{layer}": counts for layer, counts in measured.experts.items()}
    for ref, at in measured.places.items():
        tensors[f"{files.ABSMAX}.{ref.name}"] = at.absmax
        tensors[f"{files.LANDSCAPE}.{ref.name}"] = at.landscape
    return tensors
