"""Read `faq.toml` again when it changes on disk. A thread does the work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import Settings, load_settings

LOOK_EVERY_S = 1.0
# a mistake in the file is reported only after this many seconds, because an editor may write the file in two steps
SETTLE_S = 0.3


class SettingsWatch:
    """Compares the content of the file every second.

    If the content is valid, `on_read` gets the settings; otherwise `on_refused` gets the loader's error message. The
    watching thread calls these two functions. The first comparison always reports the content, because the file may
    have changed since the run was opened.
    """

    def __init__(
        self,
        path: Path,
        on_read: Callable[[Settings], None],
        on_refused: Callable[[str], None],
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Tests make `every_s` shorter."""
        self._path, self._on_read, self._on_refused = path, on_read, on_refused
        self._every_s = every_s
        self._wake, self._closed = threading.Event(), False

    def open(self) -> None:
        threading.Thread(target=self._watch, name="settings", daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def look(self) -> None:
        """Compare the content now."""
        self._wake.set()

    def _watch(self) -> None:
        seen: object = self  # a start value that differs from every content
        while not self._closed:
            self._wake.clear()
            content = self._content()
            if content != seen:
                seen = content if self._read(content) else self
            self._wake.wait(self._every_s)

    def _content(self) -> bytes | str:
        """The content of the file, or the reason why the file cannot be read."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            return str(error)

    def _read(self, content: bytes | str) -> bool:
        """Call `on_read` or `on_refused`. If the file has changed again meanwhile, call neither and return False."""
        try:
            settings = load_settings(self._path)
        except UsageError as error:
            self._wake.wait(SETTLE_S)
            if self._content() != content:
                return False
            if not self._closed:
                self._on_refused(str(error))
            return True
        if not self._closed:
            self._on_read(settings)
        return True
