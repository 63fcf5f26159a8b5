"""Do the same work on several devices at the same time, with one thread for each device."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from types import TracebackType
from typing import Any, TypeVar

from faq_tui.core.models.devices import is_cuda

Result = TypeVar("Result")


class _EndedByAnother(Exception):
    """Another thread of the team has failed, so this thread ends, too."""


class Team:
    """One thread for each of `devices`. With one device, all work is done in the calling thread.

    torch lets other threads run while it computes. Each thread keeps its device's cuBLAS handle, so the same threads
    are used for all layers. `check` is the check of the walk: it raises an exception after a request to stop.
    """

    def __init__(self, devices: Sequence[str], check: Callable[[], None]) -> None:
        self._devices, self._check = devices, check
        self._pool = ThreadPoolExecutor(len(devices), "device") if len(devices) > 1 else None
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._error: BaseException | None = None

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def check(self) -> None:
        """Raise an exception after a request to stop, or if another thread has failed. Each thread calls it often."""
        if self._ended.is_set():
            raise _EndedByAnother
        self._check()

    def each(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """Call the first function on the first device, the second one on the second device, and so on.

        There is at most one function for each device. Returns the results in the same order. After the first error of
        a thread, all threads end, and this error is raised. The team cannot be used after an error.
        """
        if self._pool is None or len(works) == 1:
            return [work() for work in works]
        futures = [
            self._pool.submit(self._run, device, work) for device, work in zip(self._devices, works, strict=False)
        ]
        try:
            wait(futures)
        except BaseException:  # for example, a signal: the threads must end before their memory is freed
            self._ended.set()
            wait(futures)
            raise
        if self._error is not None:
            raise self._error
        return [future.result() for future in futures]

    def _run(self, device: str, work: Callable[[], Any]) -> Any:
        import torch

        try:
            # both settings apply only to the present thread
            with torch.no_grad(), torch.cuda.device(device) if is_cuda(device) else nullcontext():
                return work()
        except BaseException as error:
            with self._lock:
                self._error = self._error or error
            self._ended.set()
            raise
