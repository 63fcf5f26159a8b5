"""The mailbox of a job: an actor that tasks send their messages to."""

from __future__ import annotations

import asyncio
from typing import Any

MOST = 2000  # messages that the job takes at once

Letter = tuple[str, str, dict[str, Any]]  # (key of the task, name of the attempt, message)


class Mailbox:
    """Collects the messages of all tasks, in the order of each task."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._arrived = asyncio.Event()

    async def put(self, letters: list[Letter]) -> None:
        self._letters += letters
        self._arrived.set()

    async def take(self, wait_s: float) -> list[Letter]:
        """The oldest messages. Wait up to `wait_s` seconds if there is none."""
        if not self._letters:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), wait_s)
            except TimeoutError:
                return []
        taken, self._letters = self._letters[:MOST], self._letters[MOST:]
        return taken
