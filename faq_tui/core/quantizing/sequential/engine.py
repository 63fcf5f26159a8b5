"""Quantize a whole model layer by layer, and write it in the same file layout as the target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.devices import device_of
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.gptqmodel_environment import scratch_folder
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.model_writer import LayerFiles, check_layout, write_model
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential.batching import Solve, SolvedMatrix
from faq_tui.core.quantizing.sequential.groups import linears
from faq_tui.core.quantizing.sequential.stack import find_stack
from faq_tui.core.quantizing.sequential.walk import LayerWalk

# A function of a layer's number and its solved modules. It returns the tensors that replace them in the files.
Stored = Callable[[int, dict[str, SolvedMatrix]], dict[str, Any]]


def quantize_layers(
    job: QuantizationJob,
    damp: float,
    target: Path,
    rows: list[list[int]],
    progress: QuantizationProgress,
    cancel: CancelToken,
    solve: Solve,
    stored: Stored,
    by_activation: bool = True,
) -> None:
    """Quantize the model in the folder `target` and write it into `job.out`.

    `damp` times the mean of the diagonal is added to the diagonal of each Hessian. With `by_activation`, columns are
    solved in the order of falling activations. After a cancel, raises `Stopped` at the latest when the current module
    is finished.
    """
    from transformers import AutoModelForCausalLM

    cancel.check()
    model = AutoModelForCausalLM.from_pretrained(str(target), dtype="auto", trust_remote_code=job.trust_remote_code)
    stack = find_stack(model.eval())
    unfuse_experts(stack.layers[0])
    check_layout(target, (f"{stack.name}.0.{name}.weight" for name in linears(stack.layers[0])))
    progress.begin(len(stack.layers), rows)
    with scratch_folder(job.out) as scratch:
        new = LayerFiles(scratch / "layers")

        def keep(layer: int, solved: dict[str, SolvedMatrix]) -> None:
            new.add(layer, stored(layer, solved))

        device = device_of(job.device)
        LayerWalk(stack, device, damp, by_activation, solve, keep, progress, cancel).run(rows)
        del model, stack
        progress.send("saving")
        write_model(target, job.out, new, cancel.check)
