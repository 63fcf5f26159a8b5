"""Quantize a whole model layer by layer, and write it in the same file layout as the target."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.files import atomic_text, read_json
from faq_tui.core.base.hashing import digest
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.dense import DENSE
from faq_tui.core.models.devices import device_name, device_of, devices_of
from faq_tui.core.models.gptqmodel_environment import scratch_folder
from faq_tui.core.models.layer_source import open_stack
from faq_tui.core.models.stack import UnsupportedModel
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_messages import LayerMessages
from faq_tui.core.quantizing.model_writer import LayerFiles, write_model
from faq_tui.core.quantizing.output import versions
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import Ordering, Solve, SolvedMatrix
from faq_tui.core.quantizing.sequential.row_weights import facts_of, weights_of
from faq_tui.core.quantizing.sequential.walk import LayerWalk
from faq_tui.core.quantizing.sequential.walk_check import other_method, refusal_of_stack, refusal_of_weights
from faq_tui.core.quantizing.sequential.weights import TokenWeights
from faq_tui.core.settings.weights import requires_weights

LAYERS, BESIDE, MESSAGES, ORIGIN = "layers", "beside", "messages.jsonl", "origin.json"


@dataclass(frozen=True)
class WalkMethod:
    """The three functions that a method provides for this engine.

    `solve` quantizes the matrices of a batch. `stored` returns the tensors that replace the weights of a layer's
    solved modules in the model's files. The last argument of `stored` is a folder. If `stored` writes files into this
    folder, they become part of the artefact. `dense` computes the weight [out, in] of a module from the module's
    stored tensors.
    """

    solve: Solve
    stored: Callable[[int, dict[str, SolvedMatrix], Path], dict[str, Any]]
    dense: Callable[[str, dict[str, Any]], Any]


def quantize_layers(
    job: QuantizationJob,
    ordering: Ordering,
    target: Path,
    rows: list[list[int]],
    progress: QuantizationProgress,
    cancel: CancelToken,
    method: WalkMethod,
) -> dict[str, Any]:
    """Quantize the model in the folder `target` and write it into `job.out`. Returns further entries of the manifest.

    If the job has a folder for checkpoints, each finished layer stays in this folder until the whole model is
    written. A later attempt continues after the last finished layer. After a cancel, the function raises `Stopped`
    when the current module is finished, or earlier.
    """
    cancel.check()
    devices = devices_of(job.device, job.devices)
    weights = weights_of(job, target, rows)
    stack = open_stack(target, job.trust_remote_code)
    dense = METHODS.get(job.recipe.method).format is DENSE
    if stack.places is not None and (why := refusal_of_stack(stack, packed=not dense)):
        raise UnsupportedModel(why, other_method(target, job.trust_remote_code, packed=not dense))
    required = requires_weights(job.recipe)  # then the walk refuses a model whose tokens cannot be weighted
    uneven = refusal_of_weights(stack) if weights is not None and not required else None
    weights = None if uneven else weights
    progress.begin(len(stack.layers), rows)
    send = progress.send
    with scratch_folder(job.out) as scratch:
        place = scratch if job.checkpoints is None else job.checkpoints
        _begin(place, _origin(job, target, weights))
        new, beside, messages = LayerFiles(place / LAYERS), place / BESIDE, LayerMessages(place / MESSAGES)
        beside.mkdir(exist_ok=True)
        done = new.count
        messages.resume_at(done, progress, send)
        progress.send = messages.noting(send)

        def keep(layer: int, solved: dict[str, SolvedMatrix]) -> None:
            if walk.unweighted:  # the origin names the weights, so a later attempt must not reuse these layers
                (place / ORIGIN).unlink(missing_ok=True)
            new.add(layer, method.stored(layer, solved, beside))

        def restore(layer: int) -> dict[str, Any] | None:
            if layer >= done or walk.unweighted:
                return None
            modules: dict[str, dict[str, Any]] = {}
            for name, tensor in new.layer(layer).items():
                modules.setdefault(name.rpartition(".")[0], {})[name.rpartition(".")[2]] = tensor
            return {module: method.dense(module, tensors) for module, tensors in modules.items()}

        try:
            walk = LayerWalk(stack, devices, ordering, method.solve, keep, restore, progress, cancel)
            walk.scratch, walk.weights, walk.sharing = scratch, weights, job.sharing
            walk.weights_required, walk.uneven = required, None if uneven is None else bool(uneven)
            walk.run(rows)
            used, unweighted = len(walk.shards), walk.unweighted or uneven or ""
        finally:
            progress.send = send
            if progress.failure is not None:
                # If these files were kept, the next attempt would resume from them and fail at the same module again.
                shutil.rmtree(place, ignore_errors=True)
        places = stack.places
        del stack
        progress.send("saving")
        write_model(target, job.out, new, cancel.check, places)
        shutil.copytree(beside, job.out, dirs_exist_ok=True)
    if job.checkpoints is not None:
        shutil.rmtree(job.checkpoints, ignore_errors=True)
    divided = {"devices": used} if used > 1 else {}
    return facts_of(weights, unweighted) | divided | ({"resumed_at_layer": done} if done else {})


def _origin(job: QuantizationJob, target: Path, weights: TokenWeights | None) -> str:
    """A hash of everything on which the quantized layers depend.

    Layers of an attempt with another hash are not reused.
    """
    files = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted([target / "config.json", *target.glob("*.safetensors*")])
    ]
    device = device_name(device_of(job.device))
    more = [] if weights is None else [[list(row) for row in weights.classes], weights.values]
    if job.devices > 1:  # with another number of devices, the sums of Hessians have other last bits
        more.append(["devices", job.devices])
    text = job.rows.read_text(encoding="utf-8")
    return digest(job.recipe.identity(), text, files, device, versions(), *more)


def _begin(place: Path, origin: str) -> None:
    """Remove the files in the folder `place` if they come from an attempt with another hash than `origin`."""
    path = place / ORIGIN
    try:
        known = read_json(path)
    except (OSError, ValueError):
        known = None
    if known == origin:
        return
    for name in (LAYERS, BESIDE):
        shutil.rmtree(place / name, ignore_errors=True)
    (place / MESSAGES).unlink(missing_ok=True)
    place.mkdir(parents=True, exist_ok=True)
    with atomic_text(path) as file:
        json.dump(origin, file)
