"""Run several calls at the same time, up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from faq_tui.core.base.cancel import CancelToken

T = TypeVar("T")

POLL_S = 0.1  # seconds between two checks whether the user has cancelled the work


async def run_bounded(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], limit: int, cancel: CancelToken
) -> None:
    """Await `work(item)` for each item. The calls start in the order of the items.

    At most `limit` calls run at a time.

    If a call raises an exception, the other calls are cancelled, and this function raises the exception. If `cancel`
    requests a stop, this function raises `Stopped`.
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
