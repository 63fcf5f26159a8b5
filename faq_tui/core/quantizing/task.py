"""The worker child's task `quantize`: check, quantize, finish the folder, say what came out.

Messages, in order: `quantize_started`; for each layer `layer_started`, its `module`s in the order in which
they are solved, `layer_done` (packed in the background: it may follow the next layer's `layer_started`);
`saving`; `quantized`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from faq_tui.core.cancel import CancelToken
from faq_tui.core.errors import FaqError
from faq_tui.core.models.devices import device_name, device_of, peak_memory_mb
from faq_tui.core.models.headers import linear_shapes, packed_shapes, tensors_of
from faq_tui.core.models.hub import local_folder
from faq_tui.core.quantizing.check import (
    check_finite,
    check_group_size,
    check_memory,
    check_rows,
    check_target,
    read_rows,
)
from faq_tui.core.quantizing.finish import finish_folder
from faq_tui.core.quantizing.job import Job
from faq_tui.core.quantizing.manifest import average_bits, write_manifest
from faq_tui.core.quantizing.methods import method_of
from faq_tui.core.quantizing.progress import Progress, Send

LIBRARIES = 800_000_000  # bytes resident once torch, transformers and gptqmodel are imported


def run(spec: dict[str, Any], send: Send, cancel: CancelToken) -> None:
    """Quantize as `spec` says (the fields of `Job`) into the new folder `spec["out"]`.

    Raises UsageError on anything that can be seen beforehand, FaqError naming layer and module on a broken
    one, Stopped after a cancel. Whatever happens, `out` holds a manifest only if it is whole.
    """
    job = Job.from_spec(spec)
    method = method_of(job)
    if job.out.exists() and any(job.out.iterdir()):
        raise FaqError(f"{job.out} is not empty, most likely from a run that died: remove it first")
    rows = read_rows(job.rows)
    config = check_target(local_folder(job.model, only_config=True))
    check_rows(rows, vocab_size(config))
    cancel.check()
    target = local_folder(job.model)
    shapes = linear_shapes(target)
    check_group_size(shapes, job.group_size)
    device = device_of(job.device)
    check_memory(memory_needed(target, max(map(len, rows)), sum(map(len, rows))), device)
    check_finite(target, [name for name in tensors_of(target) if name.removesuffix(".weight") not in shapes])

    started = time.monotonic()
    progress = Progress(send, cancel)
    method.load_engine()(job, str(target), rows, progress, cancel)
    finish_folder(job.out, target)
    result = {
        "average_bits": average_bits(job.bits, job.group_size, packed_shapes(job.out).values()),
        "losses": progress.losses,
        "seconds": round(time.monotonic() - started, 2),
        "peak_memory_mb": peak_memory_mb(device),
    }
    write_manifest(
        job.out,
        {
            "artefact": job.artefact,
            "model": job.model,
            "recipe": job.recipe(),
            "samples": len(rows),
            "tokens": sum(map(len, rows)),
            "device": device_name(device),
            **result,
        },
    )
    send("quantized", **result)


def vocab_size(config: dict[str, Any]) -> int:
    """Rows of the embedding; a multimodal config keeps it under `text_config`."""
    return int(config.get("vocab_size") or config.get("text_config", {})["vocab_size"])


def memory_needed(target: Path, longest: int, tokens: int) -> int:
    """Bytes a layer-by-layer GPTQ holds at its peak, a lower bound: a person wants no refusal that is wrong.

    The layers pass one by one, so they count by the largest weight: its fp32 copy, result and losses, and the
    Hessian with its inverse (in_features x in_features, fp32). Embeddings stay, and so does every token's
    hidden state, before and after the layer.
    """
    tensors = tensors_of(target)
    shapes = linear_shapes(target)
    solve = max((4 * (3 * rows * columns + 2 * columns * columns) for rows, columns in shapes.values()), default=0)
    resident = sum(size for name, (_, _, size) in tensors.items() if name.removesuffix(".weight") not in shapes)
    hidden = min((columns for _, columns in shapes.values()), default=0)
    return LIBRARIES + solve + resident + 2 * 2 * tokens * hidden + 4 * longest * hidden
