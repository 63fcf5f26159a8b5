"""One sample of a calibration set by its seed, without the rest of the file in memory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

_SEED = re.compile(rb'\{"seed_id": "([^"]*)"')
_TOKENS = re.compile(rb'"n_tokens": (\d+)')
TAIL_BYTES = 400  # the counts stand after the ids, at the line's end


@dataclass(frozen=True)
class Place:
    offset: int
    n_tokens: int


class SampleIndex:
    """Where each seed's line begins. `refresh` reads the file once, a line at a time, when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[str, Place] = {}
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> bool:
        """True if the file was read anew."""
        state = self._state()
        if state == self._seen:
            return False
        places: dict[str, Place] = {}
        if state is not None:
            with self.path.open("rb") as file:
                offset = 0
                for line in file:
                    if found := _SEED.match(line):
                        counts = _TOKENS.search(line, max(0, len(line) - TAIL_BYTES))
                        places[found[1].decode()] = Place(offset, int(counts[1]) if counts else 0)
                    offset += len(line)
        self.places, self._seen = places, state
        return True

    def text(self, seed_id: str) -> str | None:
        """The sample as it was decoded from its ids, or None if the set has none of this seed."""
        place = self.places.get(seed_id)
        if place is None:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(place.offset)
                sample = json.loads(file.readline())
        except (OSError, ValueError):
            return None  # the set is being replaced
        return str(sample["text"]) if sample.get("seed_id") == seed_id else None

    def _state(self) -> tuple[int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size
