"""A request to stop, shared between the threads of one process."""

import threading

from faq_tui.core.base.errors import Stopped


class CancelToken:
    """A flag that is set once, to request a stop. The loops of a stage check the flag where they can stop safely."""

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
        """Sleep for `seconds`, then return False. If a stop is requested, return True at once."""
        return self._event.wait(seconds)
