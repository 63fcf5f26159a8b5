"""Import gptqmodel with workarounds for its problems. All of faq_tui imports gptqmodel through this module."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faq_tui.core.base.steps import step


def import_gptqmodel() -> Any:
    """Import gptqmodel 7.7 so that it works on two cores, prints no compiler messages and cannot end the process."""
    # If there are as many devices as cores, gptqmodel's loader requests two workers from a pool with one worker, and
    # crashes.
    if (os.cpu_count() or 1) < 4:
        os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    # The packing extension is not compiled: compiling takes 40 s, and the extension saves less time than that.
    os.environ.setdefault("GPTQMODEL_DISABLE_PACK_EXT", "1")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        os.environ.setdefault("GPTQMODEL_OFFLINE", "1")  # without this setting, gptqmodel downloads CUTLASS
    with step("starting GPTQModel", at_once="gptqmodel" not in sys.modules):
        import gptqmodel
        from gptqmodel.utils import threadx

    def keep_running(worker: Any, error: BaseException) -> None:
        del worker, error

    # By default, gptqmodel calls os._exit(1) after an exception in one of its threads. With this line, quantize()
    # raises the exception instead.
    threadx._DeviceWorker._abort_process = keep_running
    return gptqmodel


@contextlib.contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """A temporary working directory inside `out`, for gptqmodel's logs/ and offloaded modules.

    By default, gptqmodel offloads modules to a folder in /tmp, which is often in memory. The folder in /tmp remains
    when the process is killed or calls os._exit. The folder from this function is removed together with `out`.
    """
    folder = out / ".work"
    folder.mkdir(parents=True)
    try:
        with contextlib.chdir(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
