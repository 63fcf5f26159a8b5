"""Values that take long to compute, kept in a JSON file until their inputs change."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import atomic_text, read_json


class Kept:
    """The values in one file. The file may be deleted at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            known = read_json(self._path)
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def get(self, name: str, state: Any, compute: Callable[[], Any], keep: Callable[[], bool] = lambda: True) -> Any:
        """Return the stored value of `name` if it was computed for the same `state`; else compute the value.

        `state` is a value that JSON can hold. After the computation, `keep` decides whether to store the value. If
        the value cannot be stored, the next call computes it again.
        """
        found = self._known.get(name)
        if isinstance(found, list) and len(found) == 2 and found[0] == state:
            return found[1]
        value = compute()
        if keep():
            self._known = {**self._read(), name: [state, value]}  # others may have written during the computation
            # `atomic_text` raises FaqError if the disk is full
            with suppress(OSError, FaqError), atomic_text(self._path) as file:
                json.dump(self._known, file)
        return value
