"""The worker child's task `quantize`.

The task checks the job, quantizes the model, completes the folder and reports the result.

The first message is `quantize_started`. For each layer, the task sends `layer_started`, then a message `module`
whenever a module is solved, and then `layer_done`. The last messages are `saving` and `quantized`. Layers are packed
in the background, so `layer_done` for a layer may be sent after `layer_started` for the next layer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.devices import device_of, devices_of, peak_memory_mb, used_devices
from faq_tui.core.models.headers import quantized_shapes, tensors_of
from faq_tui.core.models.hub import local_folder
from faq_tui.core.models.model_code import without_code
from faq_tui.core.quantizing.cost_model import min_host_memory, min_memory
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_profile import profile_of
from faq_tui.core.quantizing.methods.base import Method
from faq_tui.core.quantizing.output import complete_folder, coverage, write_manifest
from faq_tui.core.quantizing.parallel import thread_limit
from faq_tui.core.quantizing.preflight import (
    check_enough,
    check_finite,
    check_memory,
    check_rows,
    check_target,
    read_rows,
)
from faq_tui.core.quantizing.progress import QuantizationProgress, Send
from faq_tui.core.quantizing.servable import check_servable


def run(spec: dict[str, Any], send: Send, cancel: CancelToken) -> None:
    """Run the job in `spec` (see `QuantizationJob.from_spec`), and write the model into the new folder `spec["out"]`.

    Raises UsageError if a check before the quantization fails, and Stopped after a cancel. If a module cannot be
    quantized, the task raises a FaqError that names the layer and the module. The manifest is written last, so a
    folder `out` with a manifest is complete.
    """
    job = QuantizationJob.from_spec(spec)
    method: Method = METHODS.get(job.recipe.method)
    target, rows = check_job(job, method, cancel)
    device = device_of(job.device)
    threads = thread_limit(job.threads, sum(size for _, _, size in tensors_of(target).values()), device)

    started, files = time.monotonic(), file_states(target)
    progress = QuantizationProgress(send, cancel)
    # Some methods use a library that runs the code in the model's folder, even if the person has not allowed it.
    with limited_threads(threads), without_code(target, job.trust_remote_code) as safe:
        outcome = method.quantize(job, safe, rows, progress, cancel)
        complete_folder(job.out, safe)
    now = file_states(target)
    if changed := [path for path, state in files.items() if now.get(path) != state]:
        raise FaqError(f"{changed[0]} changed while the model was quantized: run again")
    check_servable(job.out)
    result = {
        "average_bits": outcome.average_bits,
        "losses": progress.losses,
        "seconds": round(time.monotonic() - started, 2),
        "peak_memory_mb": peak_memory_mb(device),
    }
    covered = coverage(progress.losses)
    body = {
        "artefact": job.artefact,
        "model": job.model,
        "recipe": job.recipe.values(),
        "samples": len(rows),
        "tokens": sum(map(len, rows)),
        "device": used_devices(device),
        **({"experts": covered} if covered else {}),
        **outcome.facts,
        **result,
    }
    write_manifest(job.out, body)
    send("quantized", **result)


def file_states(target: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of the last change of config.json and of each weights file."""
    states = {}
    for path in (target / "config.json", *sorted(target.glob("*.safetensors*"))):
        with suppress(OSError):
            stat = path.stat()
            states[path] = (stat.st_size, stat.st_mtime_ns)
    return states


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Inside the block, torch and newly imported libraries compute with this number of processor threads.

    None means no limit. After the block, torch computes with the earlier number, because the process may get another
    task.
    """
    import torch

    if threads is None:
        yield
        return
    number, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(number)
        if variable is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = variable


def check_job(job: QuantizationJob, method: Method, cancel: CancelToken) -> tuple[Path, list[list[int]]]:
    """Check the job, the target, the rows and the memory. Returns the target's folder and the calibration rows."""
    if job.out.exists() and any(job.out.iterdir()):
        raise FaqError(f"{job.out} is not empty, probably because an earlier run crashed: remove it first")
    rows = read_rows(job.rows)
    folder = local_folder(job.model, only_config=True)
    config = check_target(folder)
    check_rows(rows, vocab_size(config, folder, job.trust_remote_code))
    check_enough(rows)
    cancel.check()
    target = local_folder(job.model)
    shapes = quantized_shapes(target)
    method.preflight(job.recipe, config, shapes)
    longest, tokens = max(map(len, rows)), sum(map(len, rows))
    key = method.cost_key(job.recipe, profile_of(target, len(rows), tokens, longest))
    for device in dict.fromkeys(devices_of(job.device, job.devices)):
        check_memory(min_memory(target, key, longest, tokens, device_of(job.device)), device)
    check_memory(min_host_memory(target, key))
    check_finite(target, [name for name in tensors_of(target) if name.removesuffix(".weight") not in shapes])
    return target, rows


def vocab_size(config: dict[str, Any], folder: Path, trust_remote_code: bool) -> int:
    """The vocabulary size.

    In a multimodal config, the vocabulary size is under `text_config`. If the config has no vocabulary size, the
    default of the config's class is used.
    """
    size = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if size is None:
        from transformers import AutoConfig

        with without_code(folder, trust_remote_code) as safe:
            whole = AutoConfig.from_pretrained(safe, trust_remote_code=trust_remote_code)
        size = whole.get_text_config().vocab_size
    return int(size)
