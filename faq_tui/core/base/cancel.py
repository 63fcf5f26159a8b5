"""A request to stop, shared between the threads of one process."""

import threading

from faq_tui.core.base.errors import Stopped


class CancelToken:
    """Set once, seen by every loop of a stage at its next safe point."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Stopped` if a stop was asked for."""
        if self._event.is_set():
            raise Stopped("stopped by request; finished work is kept, run the same command again to go on")

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True as soon as a stop is asked for."""
        return self._event.wait(seconds)
