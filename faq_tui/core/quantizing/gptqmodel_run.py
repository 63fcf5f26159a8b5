"""The engine of every method that gptqmodel knows: load lazily, quantize layer by layer, save."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faq_tui.core.cancel import CancelToken
from faq_tui.core.models.devices import device_of
from faq_tui.core.models.gptqmodel_env import import_gptqmodel, scratch_folder
from faq_tui.core.models.headers import linear_shapes, packed_modules
from faq_tui.core.quantizing.gptqmodel_configs import FAMILIES
from faq_tui.core.quantizing.job import Job
from faq_tui.core.quantizing.manifest import average_bits
from faq_tui.core.quantizing.outcome import Outcome
from faq_tui.core.quantizing.progress import Progress


def quantize(job: Job, folder: str, rows: list[list[int]], progress: Progress, cancel: CancelToken) -> Outcome:
    """Write the quantized model into `job.out`: an Engine of the registry.

    Exactly `rows` reach the model, one a batch, in order.
    Raises `Stopped` at the end of the step in which the cancel came, and FaqError naming layer and module
    as soon as one turns out broken.
    """
    gptqmodel = import_gptqmodel()
    cancel.check()
    device = device_of(job.device)
    family = FAMILIES[job.method]
    # On Hopper `auto` downloads CUTLASS; the weights are the same whichever kernel would run them.
    backend = family.cuda_backend if job.backend == "auto" and device == "cuda" else job.backend
    with scratch_folder(job.out) as scratch:
        model = gptqmodel.GPTQModel.load(
            folder,
            family.config(gptqmodel, job, scratch),
            device=device,
            backend=backend,
            trust_remote_code=job.trust_remote_code,
        )
        _connect(model, progress)
        progress.begin(len(_layers(model)), rows)
        try:
            with _rows_to(progress):
                model.quantize(rows, batch_size=1, calibration_sort=None)
        except Exception:
            progress.check()  # our own stop, or the broken module that this exception follows from
            raise
        progress.check()
        progress.send("saving")
        model.save(str(job.out))
    packed, shapes = packed_modules(job.out), linear_shapes(Path(folder))
    return Outcome(average_bits(job.bits, job.group_size, (shapes[name] for name in packed)))


def _connect(model: Any, progress: Progress) -> None:
    """Subscribe `progress` to the model's callbacks."""
    from gptqmodel.looper.module_looper import StopMainLoop

    layers = _layers(model)
    quantized = [
        name for group in model.simple_layer_modules(model.model.config, model.quantize_config) for name in group
    ]

    def on_subset(*, layer_idx: int, **_: Any) -> None:
        if progress.should_stop:
            raise StopMainLoop("stopped by faq-tui")
        present = {name for name, _ in layers[layer_idx].named_modules()}
        progress.start_layer(layer_idx, [name for name in quantized if name in present])

    def on_layer(layer_idx: int, submodule_finalized: bool) -> None:
        # Raising StopMainLoop here would make quantize() return as if all were well.
        if submodule_finalized:
            progress.layer_done(layer_idx)

    model.subset_callback = on_subset
    model.layer_callback = on_layer


@contextlib.contextmanager
def _rows_to(progress: Progress) -> Iterator[None]:
    """Pass on each module's log row when it is made: there is no callback for it."""
    from gptqmodel.looper.loop_processor import LoopProcessor

    original = LoopProcessor.log_new_row

    def log_new_row(processor: Any, row: dict[str, Any]) -> None:
        # Where the loss is NaN the solve is tried again with no Hessian, and the row says 0.0 in its place.
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
    """The decoder layers, a ModuleList of shells without weights."""
    return model.model.get_submodule(model.extract_layers_node()[0])
