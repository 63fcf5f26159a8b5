"""Model work gives way to whoever looks at it: a key pressed in the app must not wait for a quantizer's turn."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 10  # a tenth of the weight: a screen comes first, and so does whatever else shares the machine


def give_way() -> None:
    """Lower this process and its session in the scheduler's order; where nothing competes it changes nothing.

    Linux weighs sessions, not processes, where it groups by session (sched(7), autogroup): a process's own niceness
    then counts among its session only, so the group's is set, too.
    """
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
