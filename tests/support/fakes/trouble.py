"""A server on a bad day: a share of all requests goes wrong, in every way there is."""

from __future__ import annotations

import random
from typing import Any

from tests.support.fakes.behaviour import Asked, Behaviour, Fault

MIXED = (
    Fault("status", 429, retry_after="0.02"),
    Fault("status", 500),
    Fault("status", 503),
    Fault("reset"),
    Fault("cut", after=2),
    Fault("error", after=2),
    Fault("garbage", after=2),
    Fault("stall", after=2),
    Fault("html"),
)
PASSING = tuple(fault for fault in MIXED if fault.kind != "html")  # those that another try may get over
HARMLESS = (Fault("order"), Fault("twice"), Fault("usage"), Fault("split"))


def mixed(share: float, faults: tuple[Fault, ...], **how: Any) -> Behaviour:
    """Each try of each candidate fails with this probability. The same tries fail on every machine.

    Other tries succeed, but their responses are unusual. `how` sets the rest of the behaviour.
    """

    def fault(asked: Asked) -> Fault | None:
        dice = random.Random(f"{asked.question} {asked.number} {asked.attempt}")
        if dice.random() < share:
            return dice.choice(faults)
        return dice.choice(HARMLESS) if dice.random() < 0.2 else None

    return Behaviour(fault=fault, **how)
