"""Quantize with gptqmodel: load weights on demand, quantize layer by layer, and save the model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.steps import step
from faq_tui.core.models.devices import device_of
from faq_tui.core.models.gptqmodel_environment import import_gptqmodel, scratch_folder
from faq_tui.core.models.headers import linear_shapes, packed_shapes, tensors_of
from faq_tui.core.quantizing.cost_model import estimate
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_profile import LAYER, profile_of
from faq_tui.core.quantizing.methods.gptqmodel.checkpoints import Checkpoint, supports
from faq_tui.core.quantizing.output import EngineResult, average_bits
from faq_tui.core.quantizing.packed_check import check_packed
from faq_tui.core.quantizing.preflight import not_finite
from faq_tui.core.quantizing.progress import QuantizationProgress


class EngineOptions(Protocol):
    """The attributes of a method that the engine uses. `GptqmodelMethod` provides them."""

    cuda_backend: str
    checkpoints: bool

    def config(self, gptqmodel: Any, recipe: Any, scratch: Path) -> Any:
        """Make gptqmodel's configuration for `recipe`. The library offloads weights to the folder `scratch`."""


def quantize(
    method: EngineOptions,
    job: QuantizationJob,
    target: Path,
    rows: list[list[int]],
    progress: QuantizationProgress,
    cancel: CancelToken,
) -> EngineResult:
    """Write the quantized model into `job.out`.

    This function implements `Method.quantize` for every method of gptqmodel.

    The model reads exactly `rows` (token ids), in their order, one row per batch. After a cancel, the function raises
    `Stopped` at the end of the current step. The function raises FaqError as soon as a module cannot be quantized;
    the message names the layer and the module.
    """
    gptqmodel = import_gptqmodel()
    cancel.check()
    send = progress.send
    checkpoint = _checkpoint(method, job, target, rows)
    try:
        facts = _quantized(method, gptqmodel, job, target, rows, progress, checkpoint)
    except UnusableCheckpoint as error:
        assert checkpoint is not None
        print(
            f"the checkpoint cannot be used, so quantization starts again: {error.__cause__}", flush=True
        )  # the worker's output goes to the log
        checkpoint.drop()
        progress.send = send
        facts = _quantized(method, gptqmodel, job, target, rows, progress, Checkpoint(checkpoint.folder))
    finally:
        progress.send = send
        if checkpoint is not None and progress.failure is not None:
            # If the checkpoint were kept, the next attempt would resume from it and fail at the same module again.
            checkpoint.drop()
    if checkpoint is not None:
        checkpoint.drop()
    recipe = job.recipe
    shapes = packed_shapes(job.out, recipe.bits)
    check_packed(target, job.trust_remote_code, shapes)
    return EngineResult(average_bits(recipe.bits, recipe.group_size, shapes.values()), facts)


class UnusableCheckpoint(Exception):
    """The checkpoint of an earlier attempt cannot be used.

    Possible reasons are another GPU, another version of a package, or damaged files.
    """


def _checkpoint(
    method: EngineOptions, job: QuantizationJob, target: Path, rows: list[list[int]]
) -> Checkpoint | None:
    """The job's checkpoint.

    Returns None if the job is too short to need checkpoints, or if gptqmodel cannot resume it.

    gptqmodel 7.7 also writes checkpoints of AWQ, but cannot resume from them ("checkpoint tensor schema differs").
    """
    if job.checkpoints is None or not method.checkpoints:
        return None
    checkpoint = Checkpoint(job.checkpoints)
    if checkpoint.exists or job.checkpoint_s == 0:
        return checkpoint
    profile = profile_of(target, len(rows), sum(map(len, rows)), max(map(len, rows)))
    profile = profile.routed(getattr(job.recipe, "experts", None))
    seconds = estimate(job.recipe.method, profile, device_of(job.device)).seconds
    return checkpoint if seconds >= job.checkpoint_s else None


def _quantized(
    method: EngineOptions,
    gptqmodel: Any,
    job: QuantizationJob,
    target: Path,
    rows: list[list[int]],
    progress: QuantizationProgress,
    checkpoint: Checkpoint | None,
) -> dict[str, Any]:
    """Run the quantization once.

    If `checkpoint` holds finished layers, continue after them. Returns further entries for the manifest.
    """
    device, send = device_of(job.device), progress.send
    # On Hopper GPUs, the backend `auto` downloads the library CUTLASS. The choice of the CUDA kernel does not affect
    # the quantized weights.
    backend = method.cuda_backend if job.backend == "auto" and device == "cuda" else job.backend
    with scratch_folder(job.out) as scratch:
        with step("loading the model into GPTQModel"):
            model = gptqmodel.GPTQModel.load(
                str(target),
                method.config(gptqmodel, job.recipe, scratch),
                device=device,
                backend=backend,
                trust_remote_code=job.trust_remote_code,
            )
        more: dict[str, Any] = {}
        if checkpoint is not None and supports(model):
            more["checkpoint"] = checkpoint.config(gptqmodel, job.checkpoint_s)
        else:
            checkpoint = None
        _connect(model, progress, checkpoint)
        progress.begin(len(_layers(model)), rows)
        try:
            with _rows_to(progress):
                model.quantize(rows, batch_size=1, calibration_sort=None, **more)
        except Exception as error:
            # after a cancel, this call raises Stopped; if a module is broken, it raises the module's error
            progress.check()
            if checkpoint is not None and checkpoint.exists and _about_checkpoints(error):
                raise UnusableCheckpoint from error
            _blame_weights(target, progress)
            raise
        progress.check()
        if checkpoint is not None:
            checkpoint.begin_at(
                len(_layers(model)), progress, send
            )  # if the checkpoint contains all layers, gptqmodel calls no callback, so report the layers here
        progress.send("saving")
        model.save(str(job.out))
    return {} if checkpoint is None or checkpoint.resumed_at is None else {"resumed_at_layer": checkpoint.resumed_at}


def _blame_weights(folder: Path, progress: QuantizationProgress) -> None:
    """If the target's weights hold NaN or infinity, raise an error that says so.

    GPTAQ and AWQ themselves fail with an unclear error.
    """
    tensors = tensors_of(folder)
    name = not_finite(
        folder, [weight for module in linear_shapes(folder) if (weight := f"{module}.weight") in tensors]
    )
    if name is not None and (number := LAYER.search(name)):
        progress.broken(int(number[1]), name[number.end() :].removesuffix(".weight"), "its weights are not finite")
        progress.check()


def _about_checkpoints(error: Exception) -> bool:
    from gptqmodel.looper.checkpoint_store import CheckpointError

    return isinstance(error, CheckpointError)


def _connect(model: Any, progress: QuantizationProgress, checkpoint: Checkpoint | None) -> None:
    """Make gptqmodel's callbacks report to `progress`, and record the messages in `checkpoint`."""
    from gptqmodel.looper.module_looper import StopMainLoop

    layers, send = _layers(model), progress.send
    if checkpoint is not None:
        progress.send = checkpoint.noting(send)
    quantized = [
        name for group in model.simple_layer_modules(model.model.config, model.quantize_config) for name in group
    ]

    def on_subset(*, layer_idx: int, **_: Any) -> None:
        if progress.should_stop:
            raise StopMainLoop("stopped by faq-tui")
        if checkpoint is not None:
            checkpoint.begin_at(layer_idx, progress, send)
        present = {name for name, _ in layers[layer_idx].named_modules()}
        progress.start_layer(layer_idx, [name for name in quantized if name in present])

    def on_layer(layer_idx: int, submodule_finalized: bool) -> None:
        # Do not raise StopMainLoop here: gptqmodel's quantize() would then return as if it had succeeded.
        if submodule_finalized:
            progress.layer_done(layer_idx)

    model.subset_callback = on_subset
    model.layer_callback = on_layer


@contextlib.contextmanager
def _rows_to(progress: QuantizationProgress) -> Iterator[None]:
    """Pass each module's log row to `progress` as soon as gptqmodel makes it.

    The function patches gptqmodel, because gptqmodel has no callback for log rows.
    """
    from gptqmodel.looper.loop_processor import LoopProcessor

    original = LoopProcessor.log_new_row

    def log_new_row(processor: Any, row: dict[str, Any]) -> None:
        # If a module's loss is NaN, gptqmodel quantizes the module again without a Hessian, and writes the loss 0.0
        # into the module's log row.
        solver = processor.tasks.get(row["module"])
        given_up = bool(getattr(getattr(solver, "qcfg", None), "mock_quantization", False))
        progress.module_done({**row, "loss": "nan"} if given_up else row)
        original(processor, row)

    LoopProcessor.log_new_row = log_new_row
    try:
        yield
    finally:
        LoopProcessor.log_new_row = original


def _layers(model: Any) -> Any:
    """The decoder layers: a ModuleList whose weights are loaded layer by layer."""
    return model.model.get_submodule(model.extract_layers_node()[0])
