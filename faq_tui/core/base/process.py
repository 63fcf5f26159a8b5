"""Which process a number means: pids are used again, the moment a process began is not."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from faq_tui.core.base.errors import FaqError

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process_identity(pid: int) -> str | None:
    """The machine's boot and the clock tick in it at which the process began; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name before it may hold anything
    if fields[0] in (b"Z", b"X"):
        return None  # ended; nobody has waited for it yet
    return f"{_boot()}:{int(fields[19])}"  # field 22 of proc(5)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def send_signal(pid: int, began: str, number: signal.Signals) -> bool:
    """Signal exactly the process that `began` so; False if it has ended. Raises FaqError if we may not."""
    try:
        held = os.pidfd_open(pid)  # from here on the number cannot come to mean another
    except OSError:
        held = -1  # ended, or a kernel without them: then there is a moment in which it could
    try:
        if process_identity(pid) != began:
            return False
        if held >= 0:
            signal.pidfd_send_signal(held, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise FaqError(f"process {pid} belongs to another user: ask them to stop it") from None
    finally:
        if held >= 0:
            os.close(held)
    return True


NICENESS = 10  # a tenth of the weight: a screen comes first, and so does whatever else shares the machine


def lower_priority() -> None:
    """Lower this process and its session in the scheduler's order; where nothing competes it changes nothing.

    Linux weighs sessions, not processes, where it groups by session (sched(7), autogroup): a process's own niceness
    then counts among its session only, so the group's is set, too.
    """
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
