"""Messages leave the mailbox in the order in which they arrived."""

from __future__ import annotations

import asyncio

from faq_tui.core.cluster import mailbox as module
from faq_tui.core.cluster.mailbox import Letter, Mailbox


def _letters(*numbers: int) -> list[Letter]:
    return [("a", "1", {"kind": "module", "layer": number}) for number in numbers]


async def test_all_messages_come_out_in_order_and_at_most_some_at_once() -> None:
    mailbox = Mailbox()
    await mailbox.put(_letters(*range(3)))
    await mailbox.put(_letters(*range(3, module.MOST + 5)))
    taken = await mailbox.take(1.0)
    assert len(taken) == module.MOST
    assert [letter[2]["layer"] for letter in [*taken, *await mailbox.take(1.0)]] == list(range(module.MOST + 5))


async def test_an_empty_mailbox_waits_for_the_next_message() -> None:
    mailbox = Mailbox()
    assert await mailbox.take(0.01) == []
    waiting = asyncio.create_task(mailbox.take(10.0))
    await asyncio.sleep(0.01)
    await mailbox.put(_letters(7))
    assert await waiting == _letters(7)
