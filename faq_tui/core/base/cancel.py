"""A request to stop, shared between the threads of one process."""

import threading

from faq_tui.core.base.errors import Stopped


class CancelToken:
    """A flag that is set once. Every loop of a stage checks it at points where the work can stop safely."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Stopped` if a stop was requested."""
        if self._event.is_set():
            raise Stopped("stopped by request; finished work is kept, run the same command again to continue")

    def wait(self, seconds: float) -> bool:
        """Sleep for at most `seconds`. If a stop is requested, return True at once; else return False at the end."""
        return self._event.wait(seconds)
