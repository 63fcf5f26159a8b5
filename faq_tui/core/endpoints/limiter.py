"""Many requests at once, never more than the limit, all of them closed at once by a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from faq_tui.core.base.cancel import CancelToken

T = TypeVar("T")
POLL_S = 0.1


async def run_bounded(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], limit: int, cancel: CancelToken
) -> None:
    """Await `work(item)` for each item, in order of their start, at most `limit` at a time.

    The first exception cancels the rest and is raised; a cancel raises `Stopped`.
    """
    waiting = iter(items)

    async def lane() -> None:
        for item in waiting:
            await work(item)

    lanes = [asyncio.create_task(lane()) for _ in range(limit)]
    try:
        pending = set(lanes)
        while pending:
            done, pending = await asyncio.wait(pending, timeout=POLL_S, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            cancel.check()
    finally:
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
