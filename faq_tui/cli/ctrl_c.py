"""Make Ctrl+C end a prompt at once.

Python's readline can miss a signal that arrives just before readline waits for a key. The signal is then handled only
after the next key. A thread therefore repeats the signal until the prompt has ended.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_S = 0.2  # seconds between two repetitions


@contextmanager
def ends_prompts() -> Iterator[None]:
    """Inside the block, Ctrl+C raises KeyboardInterrupt, even if readline missed the signal.

    The main thread must call this function.
    """
    heard, written = os.pipe()
    os.set_blocking(written, False)
    ended = threading.Event()
    main = threading.get_ident()

    def repeat() -> None:
        while number := os.read(heard, 1):  # the pipe gets the number of each signal
            while number[0] == signal.SIGINT and not ended.wait(AGAIN_S):
                signal.pthread_kill(main, signal.SIGINT)

    before = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    thread = threading.Thread(target=repeat, name="ctrl+c", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(written)  # the thread reads the end of the pipe
        thread.join()
        os.close(heard)
