"""gptqmodel's traps, closed before it is imported. Nothing else in faq_tui imports gptqmodel by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def import_gptqmodel() -> Any:
    """gptqmodel 7.7, importable on two cores, quiet about compilers, and unable to end the process."""
    # With one core a device its loader asks for two workers of a pool of one, and dies.
    if (os.cpu_count() or 1) < 4:
        os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    # The packing extension compiles for 40 s to save less than that.
    os.environ.setdefault("GPTQMODEL_DISABLE_PACK_EXT", "1")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        os.environ.setdefault("GPTQMODEL_OFFLINE", "1")  # or it fetches CUTLASS
    import gptqmodel
    from gptqmodel.utils import threadx

    def keep_running(worker: Any, error: BaseException) -> None:
        del worker, error

    # An exception in one of its threads is os._exit(1); without that it comes out of quantize() as itself.
    threadx._DeviceWorker._abort_process = keep_running
    return gptqmodel


@contextlib.contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """A working directory inside `out`, gone at the end: gptqmodel writes logs/ and offloaded modules there.

    Its own offload folder would be in /tmp, which is often memory, and stays behind when the process is
    killed or leaves by os._exit; this one goes with `out`.
    """
    folder = out / ".work"
    folder.mkdir(parents=True)
    try:
        with contextlib.chdir(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
